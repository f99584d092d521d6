import { type RawBuilder, sql } from 'kysely';
import { type DeviceAttributes, maximumAttributes } from './device-detail.ts';

/** What new attributes do to those that a device has told before: they are added, replace all of them, or remove those of the same name. */
export type AttributeMode = 'merge' | 'replace' | 'remove';

export interface ToldAttributes {
  mode: AttributeMode;
  attributes: DeviceAttributes;
  /** Every name that was sent, even if its value is not kept. */
  names: readonly string[];
}

/**
 * A statement, or a part of one, that stores a device's attributes. If old and new attributes together are too many, the new ones are kept.
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
