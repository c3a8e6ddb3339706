/* ---
title = "What could not have been logged in this time"
description = """
Of the actions that matter in a breach, those that the product lists that are held do not name throughout the asked time:
whoever did them then left no event, and their absence from other answers means nothing. An action that is listed
throughout is left out. Where no product list is held nothing is known, and all are shown. Events that are held all the
same are counted.
"""
question = 66
blind_spots = [
    "The actions that are looked for are a list of those that matter: what is on no list at all is not here.",
    "A method is taken for listed where the list of any region names it; see coverage/loggable-since by region.",
    "That a method is listed does not say that its events were read: see coverage/missing-windows.",
    "What only looks round, and what happens inside of servers, clusters and databases: never in this trail.",
]

[columns]
product = "The product, in words of the API."
method_name = "The method."
what = "What an attacker has from it."
attack = "ATT&CK v19."
state = "never listed, listed only from listed_from on, unknown before listed_from (the first list that is held), no longer listed, or no list is held."
listed_from = "Since when a list names it."
listed_to = "When the lists no longer named it; null while one does."
blind_from = "The first moment of the asked time in which it could not be logged, or that is not known."
blind_to = "The moment after the last."
events = "Events of it that are held in the asked time all the same."

[[next]]
query = "coverage/loggable-since"
why = "The lists by product and region."

[[next]]
query = "limits/blind-spots"
why = "What to look at instead."
--- */
WITH relevant AS (
    SELECT product, method_name, attack, what
    FROM (VALUES
        ('iam', 'CreateAPIKey', 'T1098.001', 'a key for an identity'),
        ('iam', 'DeleteAPIKey', 'T1531', 'a key deleted'),
        ('iam', 'CreateApplication', 'T1136.003', 'a new identity'),
        ('iam', 'CreateUser', 'T1136.003', 'a new user'),
        ('iam', 'DeleteUser', 'T1531', 'a user deleted'),
        ('iam', 'LockMember', 'T1531', 'a member locked'),
        ('iam', 'CreatePolicy', 'T1098.003', 'rights given'),
        ('iam', 'UpdatePolicy', 'T1098.003', 'rights changed'),
        ('iam', 'ClonePolicy', 'T1098.003', 'rights copied'),
        ('iam', 'SetRules', 'T1098.003', 'rights changed'),
        ('iam', 'DeletePolicy', 'T1531', 'rights taken'),
        ('iam', 'AddGroupMember', 'T1098.003', 'rights by way of a group'),
        ('iam', 'AddGroupMembers', 'T1098.003', 'rights by way of a group'),
        ('iam', 'SetGroupMembers', 'T1098.003', 'rights by way of a group'),
        ('iam', 'CreateSSHKey', 'T1098.004', 'access to servers'),
        ('iam', 'CreateJWT', 'T1550.001', 'a session without a login'),
        ('iam', 'DeleteMFAOTP', 'T1556.006', 'a second factor removed'),
        ('iam', 'UpdateOrganizationSecuritySettings', 'T1556', 'how people log in'),
        ('iam', 'UpdateOrganizationLoginMethods', 'T1556', 'how people log in'),
        ('iam', 'EnableOrganizationSaml', 'T1484.002', 'logins by somebody else'),
        ('iam', 'AddSamlCertificate', 'T1484.002', 'logins by somebody else'),
        ('iam', 'CreateScimToken', 'T1098.001', 'users by somebody else'),
        ('account', 'CloseOrganization', 'T1531', 'the Organization closed'),
        ('audit_trail', 'CreateExportJob', 'T1537', 'the trail copied elsewhere'),
        ('audit_trail', 'DeleteExportJob', 'T1685.002', 'the copy of the trail ended'),
        ('audit_trail', 'DisableAlertRules', 'T1685', 'alerts switched off'),
        ('cockpit', 'DeleteExporter', 'T1685.002', 'logs no longer sent'),
        ('cockpit', 'DeleteDataSource', 'T1685.002', 'logs deleted'),
        ('cockpit', 'DisableAlertManager', 'T1685', 'alerts switched off'),
        ('instance', 'CreateServer', 'T1578.002', 'compute started'),
        ('instance', 'DeleteServer', 'T1485', 'servers deleted'),
        ('instance', 'ServerAction', 'T1529', 'servers stopped or terminated'),
        ('instance', 'SetServerUserData', 'T1059', 'commands for servers'),
        ('instance', 'CreateSnapshot', 'T1578.001', 'disks copied'),
        ('instance', 'ExportSnapshot', 'T1537', 'disks exported'),
        ('instance', 'DeleteSnapshot', 'T1490', 'copies of disks deleted'),
        ('instance', 'CreateSecurityGroupRule', 'T1686.001', 'networks opened'),
        ('instance', 'UpdateSecurityGroup', 'T1686.001', 'networks opened'),
        ('baremetal', 'StartBMCAccess', 'T1133', 'the console of a machine'),
        ('k8s', 'GetClusterKubeConfig', 'T1552.007', 'the credentials of a cluster'),
        ('k8s', 'ResetClusterAdminToken', 'T1098', 'the token of a cluster'),
        ('k8s', 'SetClusterACLRules', 'T1686.001', 'clusters opened'),
        ('k8s', 'CreatePool', 'T1496.001', 'compute started'),
        ('k8s', 'DeleteCluster', 'T1485', 'clusters deleted'),
        ('rdb', 'CreateUser', 'T1136', 'users of databases'),
        ('rdb', 'SetInstanceACLRules', 'T1686.001', 'databases opened'),
        ('rdb', 'ExportDatabaseBackup', 'T1537', 'databases exported'),
        ('rdb', 'DeleteDatabaseBackup', 'T1490', 'backups deleted'),
        ('rdb', 'DeleteInstance', 'T1485', 'databases deleted'),
        ('rdb', 'PurgeInstanceLogs', 'T1685.002', 'logs of databases deleted'),
        ('secret_manager', 'AccessSecretVersion', 'T1555.006', 'secrets read'),
        ('secret_manager', 'AddSecretOwner', 'T1555.006', 'secrets for a product'),
        ('secret_manager', 'DeleteSecret', 'T1485', 'secrets deleted'),
        ('secret_manager', 'ListSecrets', 'T1526', 'secrets listed'),
        ('key_manager', 'DisableKey', 'T1486', 'keys switched off'),
        ('key_manager', 'DeleteKey', 'T1485', 'keys deleted'),
        ('key_manager', 'Decrypt', 'T1552', 'keys used'),
        ('inference', 'CreateDeployment', 'T1496.004', 'models started'),
        ('lb', 'UpdateBackend', 'T1565.002', 'traffic led elsewhere'),
        ('s2s_vpn', 'CreateConnection', 'T1133', 'a way in from outside'),
        ('vpc_gw', 'SetBastionAllowedIPs', 'T1133', 'a way in from outside'),
        ('domain', 'UpdateDNSZoneRecords', 'T1584.002', 'names led elsewhere'),
        ('registry', 'DeleteImage', 'T1485', 'images deleted'),
        ('block', 'ExportSnapshotToObjectStorage', 'T1537', 'disks exported'),
        ('block', 'DeleteSnapshot', 'T1490', 'copies of disks deleted'),
        ('object_storage', 'GetObject', 'T1530', 'objects read'),
        ('object_storage', 'PutBucketPolicy', 'T1530', 'buckets made public'),
        ('object_storage', 'DeleteObject', 'T1485', 'objects deleted')
    ) AS v(product, method_name, attack, what)
),
listed AS (
    SELECT
        method_name,
        replace(lower(concat_ws(' ', product_name, service_name)), '-', '_') AS place,
        listed_from, listed_to, at_the_latest
    FROM loggable_methods
),
held AS (
    SELECT count(*) AS methods_held
    FROM loggable_methods
),
seen AS (
    SELECT
        method_name, replace(lower(concat_ws(' ', product_name, service_name)), '-', '_') AS place, count(*) AS events
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
    GROUP BY ALL
),
known AS (
    SELECT
        r.product, r.method_name, r.attack, r.what,
        min(l.listed_from) AS listed_from,
        CASE WHEN count(*) = count(l.listed_to) THEN max(l.listed_to) END AS listed_to,
        arg_min(l.at_the_latest, (l.listed_from, NOT l.at_the_latest)) AS at_the_latest
    FROM relevant AS r
    LEFT JOIN listed AS l ON l.method_name = r.method_name
        AND (
            contains(l.place, r.product)
            OR (r.product = 'k8s' AND contains(l.place, 'kubernetes'))
            OR (r.product = 'object_storage' AND contains(l.place, 's3'))
        )
    GROUP BY r.product, r.method_name, r.attack, r.what
),
counted AS (
    SELECT k.product, k.method_name, CAST(coalesce(sum(s.events), 0) AS BIGINT) AS events
    FROM known AS k
    LEFT JOIN seen AS s ON s.method_name = k.method_name
        AND (
            contains(s.place, k.product) OR s.place = ''
            OR (k.product = 'k8s' AND contains(s.place, 'kubernetes'))
            OR (k.product = 'object_storage' AND contains(s.place, 's3'))
        )
    GROUP BY k.product, k.method_name
),
judged AS (
    SELECT
        k.product, k.method_name, k.what, k.attack, k.listed_from, k.listed_to, c.events,
        CASE
            WHEN h.methods_held = 0 THEN 'no list is held'
            WHEN k.listed_from IS NULL THEN 'never listed'
            WHEN k.listed_to < $until THEN 'no longer listed'
            WHEN k.listed_from > $since AND k.at_the_latest THEN 'unknown before'
            WHEN k.listed_from > $since THEN 'listed only from'
        END AS state
    FROM known AS k
    JOIN counted AS c ON c.product = k.product AND c.method_name = k.method_name
    CROSS JOIN held AS h
)
SELECT
    product, method_name, what, attack, state, listed_from, listed_to,
    CASE WHEN state = 'no longer listed' AND listed_from <= $since THEN greatest(listed_to, $since) ELSE $since END
        AS blind_from,
    CASE WHEN state IN ('unknown before', 'listed only from') THEN least(listed_from, $until) ELSE $until END AS blind_to,
    events
FROM judged
WHERE state IS NOT NULL
ORDER BY ALL
