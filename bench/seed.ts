// A fleet of any size, made inside the database: devices, what each runs for seven hardware types and ran before, a catalogue, updates.
import pg from 'pg';

const hardwareTypes = ['vega_mcu', 'vega_gsm', 'audio_lock', 'audio_locate', 'audio_unlock', 'audio_battery_low', 'yandex_iot'] as const;
/** Of each hardware type. */
const firmwares = 600;
const updates = 2_000;

export const externalIdOf = (device: number): string => `S-${String(device).padStart(8, '0')}`;
export const firmwareVersions = { oldest: '1.1.0', recent: `1.${firmwares - 10}.0` } as const;

const types = `unnest(ARRAY['${hardwareTypes.join("', '")}'])`;

/** The rows fulfil all constraints, so foreign keys are not checked row by row while this runs. */
const statements = (devices: number): readonly (readonly [name: string, statement: string])[] => [
  ['chance, the same every time', 'SELECT setseed(0.42)'],
  [
    `${firmwares} firmwares of each hardware type`,
    `INSERT INTO firmwares
       (hardware_type, version, version_num, status, object_key, file_link, size_bytes, sha256, sha1, md5, created_by, created_dt)
     SELECT name, '1.' || n || '.0', n, 'available', key, 's3://bench/' || key || '?versionId=' || n, 1048576,
            encode(sha256(key::bytea), 'hex'), left(encode(sha256(key::bytea), 'hex'), 40), md5(key),
            'bench', now() - make_interval(days => ${firmwares} - n)
     FROM ${types} name, generate_series(1, ${firmwares}) n,
          LATERAL (SELECT 'firmwares/' || name || '/1.' || n || '.0/firmware.bin' AS key) k`,
  ],
  ['their ordinals', `UPDATE hardware_types SET last_version_num = ${firmwares} WHERE name = ANY (SELECT ${types})`],
  [
    `${devices} devices`,
    // Most were seen lately, some long ago, one in a hundred never.
    `INSERT INTO devices (kind, external_id, version, channel, created_dt, last_seen_dt)
     SELECT 'scooter', 'S-' || lpad(n::text, 8, '0'), 1 + n % 2, 'telematics', now() - interval '2 years',
            CASE WHEN n % 100 <> 0 THEN now() - make_interval(secs => 60 + 86400 * 3 * (-ln(1 - random())) ^ 2) END
     FROM generate_series(1, ${devices}) n`,
  ],
  [
    'what each runs',
    // More devices run newer versions; one device in 200 runs a version that is not in the catalogue.
    `INSERT INTO device_firmwares
       (device_id, hardware_type, firmware_id, reported_version, firmware_update_dt, firmware_update_time, observed_dt, source)
     SELECT d.id, d.hardware_type, f.id, coalesce(f.version, 'dev-' || d.id % 40), observed_dt - interval '1 hour', seconds, observed_dt,
            CASE WHEN d.id % 3 = 0 THEN 'observation' ELSE 'confirmation' END
     FROM (
       SELECT d.id, hardware_type, coalesce(d.last_seen_dt, now() - interval '1 year') AS observed_dt,
              CASE WHEN random() >= 0.005 THEN greatest(1, ${firmwares} - floor(-ln(1 - random()) * 20)::integer) END AS version_num,
              CASE WHEN random() < 0.7 THEN round((20 + 120 * exp(random() * 2.5))::numeric, 3)::double precision END AS seconds
       FROM devices d, ${types} hardware_type
     ) d
     LEFT JOIN firmwares f ON f.hardware_type = d.hardware_type AND f.version_num = d.version_num`,
  ],
  [
    'what each ran',
    `INSERT INTO device_firmware_history
       (device_id, hardware_type, firmware_id, reported_version, firmware_update_dt, firmware_update_time, observed_dt, source)
     SELECT device_id, hardware_type, firmware_id, reported_version, firmware_update_dt, firmware_update_time, observed_dt, source
     FROM device_firmwares`,
  ],
  [
    `${updates} updates of 100 devices`,
    `WITH requested AS (
       INSERT INTO updates
         (firmware_id, status, maximum_per_minute, allow_downgrade, comment, request_hash, request_id, created_by, created_dt, started_dt, finished_dt)
       SELECT f.id, CASE n % 20 WHEN 0 THEN 'CANCELED' ELSE 'COMPLETED' END, 30000, false, '', n::text, 'bench-' || n, 'bench',
              now() - interval '1 year', now() - interval '1 year', now() - interval '364 days'
       FROM generate_series(1, ${updates}) n
       JOIN firmwares f ON f.hardware_type = 'vega_mcu' AND f.version_num = 1 + n % ${firmwares}
       RETURNING id
     )
     INSERT INTO update_executions (update_id, device_id, hardware_type, phase, status, queued_dt, sent_dt, finished_dt)
     SELECT id, 1 + (id * 100 + n) % ${devices}, 'vega_mcu', 'ended', 'SUCCEEDED',
            now() - interval '1 year', now() - interval '1 year', now() - interval '364 days'
     FROM requested, generate_series(1, 100) n`,
  ],
  ['what is counted', 'SELECT recount_fleet()'],
  [
    'every shard of the counts, as after years',
    `INSERT INTO device_firmware_counts
     SELECT hardware_type, reported_version, more.shard, 0 FROM device_firmware_counts, generate_series(1, 7) AS more (shard)`,
  ],
  [
    'the same of days',
    `INSERT INTO device_seen_counts
     SELECT kind, seen_on, more.shard, 0 FROM device_seen_counts, generate_series(1, 7) AS more (shard)`,
  ],
  ['vacuum and statistics', 'VACUUM (ANALYZE)'],
];

/** Fills a migrated, empty database. */
export async function seed(databaseUrl: string, devices: number, onStep: (name: string, seconds: number) => void): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query("SET session_replication_role = replica; SET work_mem = '256MB'; SET max_parallel_workers_per_gather = 0");
    for (const [name, statement] of statements(devices)) {
      const started = performance.now();
      await client.query(statement);
      onStep(name, (performance.now() - started) / 1_000);
    }
  } finally {
    await client.end();
  }
}
