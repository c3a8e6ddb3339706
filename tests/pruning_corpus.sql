-- Statements whose conditions must not leave out a row, one a line; {server 2} stands for that one's id.
SELECT id FROM api_events WHERE recorded_at > '2025-12-01' OR source_ip = '192.0.2.1'
SELECT id FROM api_events WHERE NOT (recorded_at > '2025-05-01' AND region = 'fr-par')
SELECT id FROM api_events WHERE (recorded_at > '2025-12-01') IS NOT TRUE
SELECT id FROM api_events WHERE (recorded_at > '2025-12-01') = (region = 'fr-par')
SELECT id FROM api_events WHERE CASE WHEN recorded_at > '2025-12-01' THEN true ELSE region = 'fr-par' END
SELECT id FROM api_events WHERE coalesce(source_ip = 'x', recorded_at < '2025-04-01')
SELECT a.id, b.id FROM api_events a LEFT JOIN api_events b ON a.id = b.id AND b.recorded_at > '2025-12-01'
SELECT a.id, b.id FROM api_events a LEFT JOIN api_events b ON a.id = b.id AND a.recorded_at > '2025-12-01'
SELECT a.id, b.id FROM api_events a FULL JOIN system_events b ON a.id = b.id AND a.recorded_at > '2025-12-01'
SELECT a.id FROM api_events a RIGHT JOIN events b ON a.id = b.id AND b.recorded_at > '2025-12-01'
SELECT a.id FROM api_events a ANTI JOIN api_events b ON a.id = b.id AND b.recorded_at > '2025-12-01'
SELECT a.id FROM api_events a SEMI JOIN api_events b ON a.id = b.id AND b.recorded_at > '2025-12-01'
SELECT id FROM api_events WHERE id NOT IN (SELECT id FROM api_events WHERE recorded_at > '2025-12-01')
SELECT id FROM api_events a WHERE NOT EXISTS (FROM events b WHERE b.id = a.id AND b.recorded_at > '2025-10-01')
SELECT a.id, b.id FROM api_events a ASOF LEFT JOIN api_events b ON a.principal_id = b.principal_id AND a.recorded_at > b.recorded_at WHERE a.recorded_at > '2025-12-01'
SELECT region, max(recorded_at) FROM api_events GROUP BY region HAVING max(recorded_at) > '2025-12-01'
SELECT count(*) FILTER (recorded_at > '2025-12-01'), count(*) FROM api_events
SELECT id, lag(id) OVER (ORDER BY recorded_at, id) FROM api_events QUALIFY recorded_at > '2025-12-01'
SELECT * FROM (SELECT id, recorded_at, row_number() OVER (ORDER BY recorded_at, id) AS n FROM api_events) WHERE recorded_at > '2025-12-01'
SELECT * FROM (SELECT id, recorded_at, count(*) OVER (PARTITION BY month) AS n FROM api_events) WHERE recorded_at > '2025-12-15'
SELECT id FROM (SELECT id, TIMESTAMP '2025-12-24' AS recorded_at FROM api_events) WHERE recorded_at > '2025-12-01'
SELECT id FROM (SELECT id, recorded_at + INTERVAL 8 MONTH AS recorded_at FROM api_events) WHERE recorded_at > '2025-12-01'
SELECT x FROM (SELECT id AS region, region AS x FROM api_events) WHERE region <> 'fr-par'
SELECT month, id FROM (SELECT id AS month, month AS id FROM api_events) WHERE id = '2025-04' OR month = '2025-05'
WITH api_events AS (SELECT id, recorded_at FROM system_events) SELECT * FROM api_events WHERE recorded_at > '2025-12-01'
WITH s AS (SELECT * FROM api_events), t AS (SELECT id FROM s WHERE month = '2025-05') SELECT (SELECT count(*) FROM s), (SELECT count(*) FROM t)
WITH s AS MATERIALIZED (SELECT * FROM api_events) SELECT id FROM s WHERE month = '2025-05' UNION SELECT id FROM s WHERE region = 'nl-ams'
WITH RECURSIVE r AS (SELECT id, recorded_at, 1 AS n FROM api_events WHERE month = '2025-05' UNION ALL SELECT e.id, e.recorded_at, n + 1 FROM api_events e, r WHERE e.recorded_at > r.recorded_at AND n < 2) SELECT id, n FROM r
SELECT id FROM api_events POSITIONAL JOIN (SELECT id AS other FROM system_events WHERE month = '2025-05')
SELECT id FROM (FROM api_events WHERE month = '2025-05') POSITIONAL JOIN (SELECT id AS other FROM api_events)
SELECT v, e.id FROM (VALUES ('2025-05'), ('2025-06')) t(v), LATERAL (SELECT id FROM api_events WHERE month = v) e
SELECT id FROM api_events WHERE recorded_at > (SELECT max(recorded_at) - INTERVAL 40 DAY FROM system_events)
SELECT id FROM api_events WHERE recorded_at > ALL (SELECT recorded_at FROM system_events WHERE month = '2025-05')
SELECT id FROM api_events WHERE month = (SELECT max(month) FROM api_events)
SELECT id FROM api_events WHERE recorded_at IN (SELECT recorded_at FROM system_events)
(SELECT id FROM api_events WHERE month > '2025-05') EXCEPT (SELECT id FROM api_events WHERE month > '2025-07')
(SELECT region FROM api_events) INTERSECT ALL (SELECT region FROM api_events WHERE month = '2025-07')
SELECT id FROM api_events WHERE recorded_at > 'infinity'::TIMESTAMP OR recorded_at < '-infinity'::TIMESTAMP
SELECT id FROM api_events WHERE recorded_at > '-infinity'::TIMESTAMP AND recorded_at < 'infinity'::TIMESTAMP
SELECT id FROM api_events WHERE recorded_at > '0001-01-01'::TIMESTAMP AND recorded_at < '9999-12-31 23:59:59.999999'
SELECT id FROM api_events WHERE recorded_at <= '9999-12-31 23:59:59.999999'::TIMESTAMP
SELECT id FROM api_events WHERE recorded_at > '0044-03-15 (BC) 00:00:00'::TIMESTAMP AND recorded_at < '290000-01-01'
SELECT id FROM api_events WHERE recorded_at > NULL OR region = 'fr-par'
SELECT id FROM api_events WHERE source_ip IS NULL
SELECT id FROM api_events WHERE source_ip IS DISTINCT FROM '192.0.2.3' AND month = '2025-06'
SELECT id FROM api_events WHERE source_ip NOT IN ('192.0.2.3', '192.0.2.4')
SELECT id FROM api_events WHERE region COLLATE NOCASE = 'FR-PAR'
SELECT id FROM api_events WHERE region > 'fr' AND region < 'nl'
SELECT id FROM api_events WHERE region <= 'fr-par' AND region >= 'fr-par'
SELECT id FROM api_events WHERE recorded_at > TIMESTAMPTZ '2025-12-01 00:00:00+14'
SELECT id FROM api_events WHERE recorded_at BETWEEN TIMESTAMPTZ '2025-05-01 00:00:00-11' AND now()
SELECT id FROM api_events WHERE recorded_at > now() - INTERVAL 30 YEAR AND recorded_at < now()
SELECT id FROM api_events WHERE recorded_at::TIMESTAMP_S = '2025-05-14 12:30:00'
SELECT id FROM api_events WHERE recorded_at > '2025-05-14 12:30:00'::TIMESTAMP_NS
SELECT id FROM api_events WHERE recorded_at::VARCHAR LIKE '2025-05%'
SELECT id FROM api_events WHERE strftime(recorded_at, '%Y-%m') = '2025-05'
SELECT id FROM api_events WHERE epoch(recorded_at) > 1760000000
SELECT id FROM api_events WHERE TRY_CAST(month AS INTEGER) = 3 OR month = '2025-05'
SELECT id FROM api_events WHERE source_ip = 'a'' AND month = ''2025-05' OR region = 'fr-par'
SELECT id FROM api_events WHERE source_ip IN ('a\n)', 'b'' OR (''', '192.0.2.1')
SELECT id FROM (SELECT id, source_ip AS "x'", month AS "y) OR (" FROM api_events) WHERE "x'" = '192.0.2.2' OR "y) OR (" = '2025-05'
SELECT id FROM api_events WHERE len(list_filter(resources, lambda "x) AND ('": "x) AND ('".type = 'disk')) > 0
SELECT id, 'x' AS month FROM api_events WHERE month = '2025-05'
SELECT month AS recorded_at, recorded_at AS month FROM api_events ORDER BY recorded_at DESC, month LIMIT 3
SELECT id FROM api_events ORDER BY recorded_at DESC, id LIMIT 3
SELECT id FROM events WHERE recorded_at > '2025-10-01' ORDER BY recorded_at, id LIMIT 3
SELECT DISTINCT ON (region) region, id FROM api_events WHERE month > '2025-06' ORDER BY region, recorded_at, id
SELECT min(recorded_at), max(recorded_at), count(*) FROM events
SELECT count(*) FROM api_events WHERE month > '2025-06'
SELECT sum(n) FROM (SELECT count(*) AS n FROM api_events GROUP BY ROLLUP (region, month) HAVING month = '2025-06')
SELECT id FROM api_events WHERE month = '2025-05' LIMIT (SELECT count(*) FROM api_events WHERE month = '2025-06')
SELECT count(*) FROM event_resources WHERE resource_type = 'disk' AND region = 'fr-par'
SELECT event_id, position FROM event_resources WHERE resource_id = '{server 2}'
SELECT id FROM events WHERE list_contains(resource_ids, '{server 2}') AND list_contains(resource_ids, '{disk 1}')
SELECT id FROM events WHERE list_has_any(resource_ids, ['{server 2}', '{server 3}'])
SELECT id FROM events WHERE NOT list_contains(resource_ids, '{server 2}')
SELECT id, first_seen_at, events FROM resources_seen
SELECT id, first_acted_at, events FROM principals
SELECT * FROM first_seen WHERE dimension = 'address' AND last_at > '2025-12-01'
SELECT id, differing_paths FROM revisions
SELECT id FROM iam_logs WHERE recorded_at > '2025-06-01'
SELECT count(*) FROM requests
SELECT (SELECT count(*) FROM api_events) AS n, id FROM events WHERE recorded_at < '2025-04-01'
FROM (SELECT COLUMNS('id|month') FROM api_events) WHERE COLUMNS(*) > '2025-05'
SELECT a.id FROM api_events a, system_events b WHERE a.month = b.month AND a.month > '2025-10'
SELECT a.id FROM api_events a JOIN system_events b ON a.recorded_at < b.recorded_at AND b.recorded_at < '2025-04-01'
SELECT e.raw->>'$.id' FROM events e WHERE e.raw->>'$.recorded_at' > '2025-12-01'
SELECT struct_pack(recorded_at := id).recorded_at AS x FROM api_events WHERE struct_pack(month := region).month = 'fr-par'
SELECT id FROM api_events WHERE current_setting('disabled_optimizers') = '' OR month = '2025-05'
SELECT id FROM api_events WHERE "Current_Setting"('lock_configuration')::VARCHAR = 'true' OR month = '2025-05'
SELECT id FROM api_events WHERE recorded_at < now() AT TIME ZONE 'Pacific/Auckland'
SELECT typeof(now()) AS t, id FROM api_events WHERE typeof(now()) = 'TIMESTAMP WITH TIME ZONE' AND recorded_at < now()
SELECT id FROM api_events WHERE now()::VARCHAR LIKE '%+00' AND recorded_at < now()
SELECT id FROM api_events WHERE recorded_at BETWEEN now() - INTERVAL 30 YEAR AND '2025-05-10 12:00:00+05'
WITH now AS (SELECT now() - INTERVAL '30 years 40 days' AS early) SELECT id FROM api_events, now WHERE recorded_at > early
SELECT id FROM api_events e LEFT JOIN (SELECT event_id FROM event_resources WHERE recorded_at > now()) ON id = event_id
SELECT user_id FROM logins WHERE recorded_at < now() AND user_id = '{user 1}' OR user_id IS NULL
SELECT id FROM events WHERE actor_id = '{user 1}' OR actor_id IS NULL
SELECT user_id, count(*) FROM logins GROUP BY user_id HAVING user_id > '8'
