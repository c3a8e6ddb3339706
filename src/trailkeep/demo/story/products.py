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
        ChangeUserEmail ChangeUserPassword CreateProject DeleteProject UpdateProject
        UpdateUser UpdateUserPreferences
        """,
    ),
    "apple-silicon": (
        "Apple silicon",
        "scaleway.apple_silicon.v1alpha1.Api",
        """
        CreateServer DeleteServer RebootServer ReinstallServer UpdateServer
        """,
    ),
    "audit-trail": (
        "Audit Trail",
        "scaleway.audit_trail.v1alpha1.Api",
        """
        CreateExportJob DeleteExportJob DisableAlertRules EnableAlertRules
        SetEnabledAlertRules
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
        CreateServer DeleteServer InstallServer RebootServer StartServer StopServer
        UpdateServer
        """,
    ),
    "cockpit": (
        "Cockpit",
        "scaleway.cockpit.v1.RegionalApi",
        """
        CreateDataSource CreateToken DeleteContactPoint DeleteExporter DisableAlertManager
        DisableManagedAlerts EnableManagedAlerts UpdateDataSource
        """,
    ),
    "iam": (
        "IAM",
        "scaleway.iam.v1alpha1.Api",
        """
        AddGroupMember CheckLoginMFAOTP CommitLogin CreateAPIKey CreateApplication
        CreateGroup CreateJWT CreateMagicCodeLogin CreateOAuth2Login CreatePasswordLogin
        CreatePolicy CreateSSHKey CreateSamlLogin CreateUser CreateUserMFAOTP DeleteAPIKey
        DeleteApplication DeletePolicy DeleteSSHKey DeleteUserMFAOTP InitiateMagicCodeLogin
        LockUser RenewJWT SetRules UpdateAPIKey UpdatePolicy UpdateUser
        """,
    ),
    "instance": (
        "Instances",
        "scaleway.instance.v1.Api",
        """
        AttachServerVolume CreateImage CreateIp CreatePrivateNIC CreateSecurityGroup
        CreateSecurityGroupRule CreateServer CreateSnapshot CreateVolume DeleteServer
        DeleteSnapshot DeleteVolume ExportSnapshot ServerAction SetServerUserData
        UpdateSecurityGroup UpdateServer
        """,
    ),
    "ipam": (
        "IPAM",
        "scaleway.ipam.v1.Api",
        """
        AttachIP BookIP DetachIP ReleaseIP UpdateIP
        """,
    ),
    "kubernetes": (
        "Kubernetes",
        "scaleway.k8s.v1.Api",
        """
        CreateCluster CreatePool DeleteNode DeletePool RebootNode ResetClusterAdminToken
        UpdateCluster UpdatePool UpgradeCluster UpgradePool
        """,
    ),
    "load-balancer": (
        "Load Balancer",
        "scaleway.lb.v1.ZonedApi",
        """
        CreateAcl CreateBackend CreateFrontend DeleteAcl SetAcls SetBackendServers
        UpdateBackend UpdateLb
        """,
    ),
    "rdb": (
        "PostgreSQL and MySQL",
        "scaleway.rdb.v1.Api",
        """
        AddInstanceACLRules CreateDatabase CreateDatabaseBackup CreateSnapshot CreateUser
        DeleteDatabaseBackup ExportDatabaseBackup PurgeInstanceLogs RestoreDatabaseBackup
        SetPrivilege UpdateInstance
        """,
    ),
    "secret-manager": (
        "Secret Manager",
        "scaleway.secret_manager.v1beta1.Api",
        """
        AddSecretOwner CreateSecret CreateSecretVersion DeleteSecret DeleteSecretVersion
        DisableSecretVersion ProtectSecret UnprotectSecret UpdateSecret UpdateSecretVersion
        """,
    ),
    "serverless-containers": (
        "Serverless Containers",
        "scaleway.containers.v1.Api",
        """
        CreateContainer CreateNamespace CreateTrigger DeleteContainer RedeployContainer
        UpdateContainer
        """,
    ),
    "vpc": (
        "VPC",
        "scaleway.vpc.v2.Api",
        """
        CreatePrivateNetwork CreateRoute CreateVPC DeletePrivateNetwork SetAcl
        UpdatePrivateNetwork
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
