import { type RawBuilder, sql } from 'kysely';

/**
 * The revisions of hardware that a firmware fits; null: all. A package fits the revisions that it and all of its parts fit, as they are named
 * at this moment; that may be none.
 *
 * @param firmware the name or the alias of the table `firmwares` in the statement
 */
export const revisionsOf = (firmware: string): RawBuilder<string[] | null> => {
  const [assembly_id, own] = [sql.ref(`${firmware}.assembly_id`), sql.ref(`${firmware}.revisions`)];
  return sql<string[] | null>`CASE WHEN ${assembly_id} IS NULL THEN ${own} ELSE (
    WITH named AS (
      SELECT ${own} AS revisions WHERE ${own} IS NOT NULL
      UNION ALL
      SELECT part.revisions FROM assembly_parts p JOIN firmwares part ON part.id = p.firmware_id
      WHERE p.assembly_id = ${assembly_id} AND part.revisions IS NOT NULL
    )
    SELECT ARRAY(
      SELECT revision FROM unnest((SELECT n.revisions FROM named n LIMIT 1)) revision
      WHERE NOT EXISTS (SELECT FROM named n WHERE revision <> ALL (n.revisions))
      ORDER BY revision
    )
    WHERE EXISTS (SELECT FROM named)
  ) END`;
};

/** Whether a device of this revision may get a firmware for these. If a firmware names revisions, a device without one does not fit. */
export const fitsRevision = (revisions: RawBuilder<unknown>, revision: RawBuilder<unknown>): RawBuilder<boolean> =>
  sql<boolean>`(${revisions} IS NULL OR coalesce(${revision} = ANY (${revisions}), false))`;

/** Says of what does not fit what the device is and what would fit. */
export const revisionMismatch = (revisions: RawBuilder<unknown>, revision: RawBuilder<unknown>): RawBuilder<string> =>
  sql<string>`concat('revision ', coalesce(${revision}, 'unknown'), ', fits ', coalesce(nullif(array_to_string(${revisions}, ', '), ''), 'none'))`;
