import { type RawBuilder, sql } from 'kysely';
import { type DeviceAttributes, maximumAttributes } from './device-detail.ts';

/** How attributes meet those that a device has told before: beside them, in their place, or taking away those of the same name. */
export type AttributeMode = 'merge' | 'replace' | 'remove';

export interface ToldAttributes {
  mode: AttributeMode;
  attributes: DeviceAttributes;
  /** Every name that was sent, also those without a value that is kept. */
  names: readonly string[];
}

/**
 * A statement that keeps what a device tells of itself, or a part of one. What is told now has precedence when it is too much together with
 * what was told before.
 */
export const keepAttributes = (device_id: number, { mode, attributes, names }: ToldAttributes, now: Date): RawBuilder<unknown> => {
  const kept = {
    merge: sql`(
      SELECT coalesce(jsonb_object_agg(name, value), '{}')
      FROM (
        SELECT key AS name, value, 0 AS place FROM jsonb_each(excluded.attributes)
        UNION ALL
        SELECT key, value, 1 FROM jsonb_each(a.attributes) WHERE NOT excluded.attributes ? key
        ORDER BY place, name
        LIMIT ${maximumAttributes}
      ) told
    )`,
    replace: sql`excluded.attributes`,
    remove: sql`a.attributes - ${names}::text[]`,
  }[mode];
  return sql`
    INSERT INTO device_attributes AS a (device_id, attributes, told_dt)
    VALUES (${device_id}, ${JSON.stringify(mode === 'remove' ? {} : attributes)}::jsonb, ${now}::timestamptz)
    ON CONFLICT ON CONSTRAINT device_attributes_pkey DO UPDATE SET attributes = ${kept}, told_dt = excluded.told_dt`;
};
