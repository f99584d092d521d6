import { type RawBuilder, sql } from 'kysely';

// Pieces of the queries about reports: a device that runs a package also runs the package's parts.

/** The parts of the package that the row `f` of `firmwares` is, if it is one: `(firmware_id, position)`. */
export const partsOfFirmware: RawBuilder<unknown> = sql`
  SELECT p.firmware_id, p.position FROM assembly_parts p WHERE p.assembly_id = f.assembly_id`;

/** The hardware types of the parts of those among these versions that are packages, or are to become packages. */
export const partTypesOf = (hardwareTypes: readonly string[], versions: readonly (string | null)[]): RawBuilder<unknown> => sql`
  SELECT part.hardware_type
  FROM unnest(${hardwareTypes}::text[], ${versions}::text[]) AS reported (hardware_type, version)
  JOIN firmwares f ON f.hardware_type = reported.hardware_type AND f.version = reported.version AND f.assembly_id IS NOT NULL
  JOIN assembly_parts p ON p.assembly_id = f.assembly_id
  JOIN firmwares part ON part.id = p.firmware_id`;
