"""What the emulated API says can be logged: products, their services and methods, by region."""

from __future__ import annotations

from typing import Any

_GLOBAL = {"iam", "account", "edge-services"}
"""Products without a region; their events, and their place in the list, are in fr-par alone."""

_PRODUCTS: dict[str, tuple[str, str, str]] = {
    "account": (
        "Account",
        "scaleway.account.v3.Api",
        """
        ChangeSupportPlan ChangeUserEmail ChangeUserPassword CloseOrganization CreateMFAOTP
        CreateProject DeleteMFAOTP DeleteProject UpdateProject UpdateUser UpdateUserPreferences
        ValidateMFAOTP
        """,
    ),
    "apple-silicon": (
        "Apple silicon",
        "scaleway.apple_silicon.v1alpha1.Api",
        """
        BatchCreateServers CreateServer DeleteServer RebootServer ReinstallServer UpdateServer
        """,
    ),
    "audit-trail": (
        "Audit Trail",
        "scaleway.audit_trail.v1alpha1.Api",
        """
        CreateExportJob DeleteExportJob DisableAlertRules EnableAlertRules SetEnabledAlertRules
        """,
    ),
    "autoscaling": (
        "Autoscaling",
        "scaleway.autoscaling.v1alpha2.Api",
        """
        CreateGroup DeleteGroup UpdateGroup
        """,
    ),
    "baremetal": (
        "Elastic Metal",
        "scaleway.baremetal.v1.Api",
        """
        CreateServer DeleteServer InstallServer RebootServer StartServer StopServer UpdateServer
        """,
    ),
    "cockpit": (
        "Cockpit",
        "scaleway.cockpit.v1.RegionalApi",
        """
        CreateContactPoint CreateDataSource CreateExporter CreateToken DeleteContactPoint
        DeleteDataSource DeleteExporter DeleteToken DisableAlertManager DisableAlertRules
        DisableManagedAlerts EnableAlertManager EnableAlertRules EnableManagedAlerts
        UpdateContactPoint UpdateDataSource UpdateExporter
        """,
    ),
    "edge-services": (
        "Edge Services",
        "scaleway.edge_services.v1beta1.Api",
        """
        CreateBackendStage CreateDNSStage CreatePipeline CreateWafStage DeleteBackendStage
        DeleteDNSStage DeletePipeline DeleteWafStage SetHeadStage UpdateBackendStage
        UpdateCacheStage UpdateDNSStage UpdatePipeline UpdateTLSStage UpdateWafStage
        """,
    ),
    "generative-apis": (
        "Generative APIs",
        "scaleway.inference.v1.Api",
        """
        CreateDeployment CreateModel DeleteDeployment DeleteModel UpdateDeployment
        """,
    ),
    "iam": (
        "IAM",
        "scaleway.iam.v1alpha1.Api",
        """
        AddGroupMember AddGroupMembers AddSamlCertificate CheckLoginMFAOTP ClonePolicy CommitLogin
        CreateAPIKey CreateApplication CreateGroup CreateJWT CreateMFAOTP CreateMagicCodeLogin
        CreateOAuth2Login CreatePasswordLogin CreatePolicy CreateSSHKey CreateSamlLogin
        CreateScimToken CreateUser CreateUserMFAOTP DeleteAPIKey DeleteApplication DeleteGroup
        DeleteJWT DeleteMFAOTP DeletePolicy DeleteSSHKey DeleteSaml DeleteSamlCertificate DeleteScim
        DeleteScimToken DeleteUser DeleteUserMFAOTP DeleteWebAuthnAuthenticator
        EnableOrganizationSaml EnableOrganizationScim FinishUserWebAuthnRegistration
        InitiateMagicCodeLogin InitiateOAuth2Login InitiateSamlLogin JoinUserConnection LockMember
        LockUser RemoveGroupMember RenewJWT SetGroupMembers SetRules StartUserWebAuthnRegistration
        UnlockMember UnlockUser UpdateAPIKey UpdateApplication UpdateGroup
        UpdateOrganizationLoginMethods UpdateOrganizationSecuritySettings UpdatePolicy UpdateSSHKey
        UpdateSaml UpdateUser UpdateUserPassword UpdateUserUsername ValidateMFAOTP
        ValidateUserMFAOTP
        """,
    ),
    "instance": (
        "Instances",
        "scaleway.instance.v1.Api",
        """
        AttachServerVolume CreateImage CreateIp CreatePrivateNIC CreateSecurityGroup
        CreateSecurityGroupRule CreateServer CreateSnapshot CreateVolume DeleteImage DeleteIp
        DeletePrivateNIC DeleteSecurityGroup DeleteSecurityGroupRule DeleteServer
        DeleteServerUserData DeleteSnapshot DeleteVolume DetachServerVolume ExportSnapshot
        ServerAction SetServerUserData UpdateImage UpdateSecurityGroup UpdateSecurityGroupRule
        UpdateServer UpdateSnapshot UpdateVolume
        """,
    ),
    "ipam": (
        "IPAM",
        "scaleway.ipam.v1.Api",
        """
        AttachIP BookIP DetachIP ReleaseIP UpdateIP
        """,
    ),
    "key-manager": (
        "Key Manager",
        "scaleway.key_manager.v1alpha1.Api",
        """
        CreateKey DeleteKey DeleteKeyMaterial DisableKey EnableKey ImportKeyMaterial ProtectKey
        RestoreKey RotateKey UnprotectKey UpdateKey
        """,
    ),
    "kubernetes": (
        "Kubernetes",
        "scaleway.k8s.v1.Api",
        """
        AddClusterACLRules CreateCluster CreateExternalNode CreatePool DeleteACLRule DeleteCluster
        DeleteNode DeletePool RebootNode ResetClusterAdminToken SetClusterACLRules SetClusterType
        UpdateCluster UpdatePool UpgradeCluster UpgradePool
        """,
    ),
    "load-balancer": (
        "Load Balancer",
        "scaleway.lb.v1.ZonedApi",
        """
        AddBackendServers CreateAcl CreateBackend CreateCertificate CreateFrontend DeleteAcl
        DeleteBackend DeleteFrontend DeleteLb SetAcls SetBackendServers UpdateAcl UpdateBackend
        UpdateFrontend UpdateLb
        """,
    ),
    "mongodb": (
        "MongoDB",
        "scaleway.mongodb.v1.Api",
        """
        CreateEndpoint CreateInstance CreateSnapshot CreateUser DeleteEndpoint DeleteInstance
        DeleteSnapshot DeleteUser RestoreSnapshot SetUserRole UpdateInstance UpdateUser
        """,
    ),
    "public-gateways": (
        "Public Gateways",
        "scaleway.vpc_gw.v2.Api",
        """
        AddBastionAllowedIPs CreateGateway CreatePatRule DeleteBastionAllowedIPs DeleteGateway
        DeletePatRule RefreshSSHKeys SetBastionAllowedIPs SetPatRules UpdateGateway UpdatePatRule
        """,
    ),
    "rdb": (
        "PostgreSQL and MySQL",
        "scaleway.rdb.v1.Api",
        """
        AddInstanceACLRules CloneInstance CreateDatabase CreateDatabaseBackup CreateEndpoint
        CreateInstance CreateInstanceFromSnapshot CreateReadReplica CreateReadReplicaEndpoint
        CreateSnapshot CreateUser DeleteDatabase DeleteDatabaseBackup DeleteEndpoint DeleteInstance
        DeleteInstanceACLRules DeleteReadReplica DeleteSnapshot DeleteUser ExportDatabaseBackup
        PrepareInstanceLogs PromoteReadReplica PurgeInstanceLogs RestartInstance
        RestoreDatabaseBackup SetInstanceACLRules SetInstanceSettings SetPrivilege
        UpdateDatabaseBackup UpdateInstance UpdateUser UpgradeInstance
        """,
    ),
    "s2s-vpn": (
        "Site-to-Site VPN",
        "scaleway.s2s_vpn.v1alpha1.Api",
        """
        CreateConnection CreateCustomerGateway CreateRoutingPolicy CreateVpnGateway DeleteConnection
        RenewConnectionPsk SetRoutingPolicy UpdateConnection
        """,
    ),
    "secret-manager": (
        "Secret Manager",
        "scaleway.secret_manager.v1beta1.Api",
        """
        AddSecretOwner CreateSecret CreateSecretVersion DeleteSecret DeleteSecretVersion
        DisableSecretVersion EnableSecretVersion ProtectSecret RestoreSecret RestoreSecretVersion
        UnprotectSecret UpdateSecret UpdateSecretVersion
        """,
    ),
    "serverless-containers": (
        "Serverless Containers",
        "scaleway.containers.v1.Api",
        """
        CreateContainer CreateDomain CreateNamespace CreateTrigger DeleteContainer DeleteDomain
        DeleteNamespace DeleteTrigger RedeployContainer UpdateContainer UpdateNamespace
        UpdateTrigger
        """,
    ),
    "serverless-functions": (
        "Serverless Functions",
        "scaleway.functions.v1beta1.Api",
        """
        CreateCron CreateDomain CreateFunction CreateNamespace CreateToken CreateTrigger DeleteCron
        DeleteFunction DeleteNamespace DeleteToken DeleteTrigger DeployFunction UpdateCron
        UpdateFunction
        """,
    ),
    "vpc": (
        "VPC",
        "scaleway.vpc.v2.Api",
        """
        CreatePrivateNetwork CreateRoute CreateVPC CreateVPCConnector DeletePrivateNetwork
        DeleteRoute DeleteVPC DeleteVPCConnector EnableCustomRoutesPropagation SetAcl
        UpdatePrivateNetwork UpdateRoute UpdateVPC
        """,
    ),
}
"""Title, service and methods by name."""

SERVICES = {name: service for name, (_, service, _) in _PRODUCTS.items()}
"""The service_name of a product's events; the story uses one a product."""


def product_list(region: str) -> list[dict[str, Any]]:
    """The products of a region as the API lists them."""
    return [
        {"title": title, "name": name, "services": [{"name": service, "methods": sorted(methods.split())}]}
        for name, (title, service, methods) in _PRODUCTS.items()
        if region == "fr-par" or name not in _GLOBAL
    ]
