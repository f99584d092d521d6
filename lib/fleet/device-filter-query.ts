import * as z from 'zod/mini';
import { DomainError } from '../errors.ts';
import { HardwareTypeName } from '../firmware/firmware.ts';
import { FirmwareVersion } from '../firmware/version.ts';
import { IdInPath } from '../http/path-parameters.ts';
import { integerBetween, OptionalFlag } from '../http/query-parameters.ts';
import { type DeviceFilter, deviceFilter, type Running } from './device-filter.ts';

const id = z.optional(IdInPath.shape.id);
const tags = z.optional(
  z.pipe(
    z.string().check(z.regex(/^[a-z0-9][a-z0-9_.-]{0,63}(,[a-z0-9][a-z0-9_.-]{0,63}){0,19}$/, 'must be up to 20 tags, commas between')),
    z.transform((text: string) => text.split(',')),
  ),
);
const described = <S extends z.ZodMiniType>(schema: S, description: string, example?: string): S =>
  schema.check(z.meta({ description, ...(example !== undefined && { example }) }));
/** Gives a query parameter the description of the filter's field. */
const like = <S extends z.ZodMiniType>(schema: S, field: keyof typeof deviceFilter): S =>
  schema.check(z.meta(z.globalRegistry.get(deviceFilter[field]) ?? {}));

const type = z.optional(HardwareTypeName);
const version = z.optional(FirmwareVersion);

/** A filter as query parameters; nested fields have dotted names. */
export const deviceFilterQuery = {
  kind: deviceFilter.kind,
  external_id_prefix: deviceFilter.external_id_prefix,
  version: like(z.optional(z.enum(['1', '2', 'none'])), 'version'),
  channel: deviceFilter.channel,
  zone: deviceFilter.zone,
  'tags.all': described(tags, 'They have all of these tags, with commas between', 'night,centre'),
  'tags.any': described(tags, 'They have any of these tags'),
  'tags.none': described(tags, 'They have none of these tags'),
  revision: deviceFilter.revision,
  'running.hardware_type': described(type, 'With `running.version`'),
  'running.version': described(version, 'They run this version of `running.hardware_type`'),
  'running.firmware_id': described(id, 'They run this firmware'),
  runs_firmware_id: described(id, 'The same as `running.firmware_id`'),
  'not_running.hardware_type': described(type, 'With `not_running.version`'),
  'not_running.version': described(
    version,
    'They run another version of `not_running.hardware_type`, or it is not known what they run of it',
  ),
  'not_running.firmware_id': described(id, 'They do not run this firmware'),
  older_than_firmware_id: like(id, 'older_than_firmware_id'),
  unknown_version: deviceFilter.unknown_version,
  not_seen_days: like(z.optional(integerBetween(1, 3_650)), 'not_seen_days'),
  not_seen_since: deviceFilter.not_seen_since,
  retired: described(OptionalFlag, 'Only devices that are retired, or only others. Default: all'),
  failed_in_update_id: like(id, 'failed_in_update_id'),
  percentage: like(z.optional(integerBetween(1, 100)), 'percentage'),
};
type Query = z.output<z.ZodMiniObject<typeof deviceFilterQuery>>;

const generations = { 1: 1, 2: 2, none: 'none' } as const;

/** @throws `request.invalid` for parameters that contradict each other. */
export const filterOfQuery = (query: Query): DeviceFilter => {
  const { version, runs_firmware_id, 'running.firmware_id': firmware_id = runs_firmware_id } = query;
  if (runs_firmware_id !== undefined && firmware_id !== runs_firmware_id)
    throw wrong('runs_firmware_id', 'contradicts running.firmware_id');
  if (query.kind === 'cabinet' && version !== undefined) throw wrong('version', 'only scooters have a version');
  const { 'tags.all': all, 'tags.any': any, 'tags.none': none } = query;
  const fields: FieldsOfFilter = {
    ...query,
    version: version && generations[version],
    tags: (all ?? any ?? none) && defined({ all, any, none }),
    running: runningOf('running', query['running.hardware_type'], query['running.version'], firmware_id),
    not_running: runningOf(
      'not_running',
      query['not_running.hardware_type'],
      query['not_running.version'],
      query['not_running.firmware_id'],
    ),
  };
  return pick(fields, namesOfFields);
};

type FieldsOfFilter = { [Name in keyof DeviceFilter]: DeviceFilter[Name] | undefined };
const namesOfFields = Object.keys(deviceFilter) as (keyof DeviceFilter)[];

const runningOf = (
  name: 'running' | 'not_running',
  hardware_type: string | undefined,
  version: string | undefined,
  firmware_id: number | undefined,
): Running | undefined => {
  if (firmware_id !== undefined) {
    if (version !== undefined) throw wrong(`${name}.version`, `contradicts ${name}.firmware_id: name one of them`);
    return { firmware_id, ...(hardware_type !== undefined && { hardware_type }) };
  }
  if (hardware_type === undefined && version === undefined) return undefined;
  if (version === undefined) throw wrong(`${name}.version`, `is needed with ${name}.hardware_type`);
  if (hardware_type === undefined) throw wrong(`${name}.hardware_type`, `is needed with ${name}.version`);
  return { hardware_type, version };
};

const defined = <T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };

const pick = <T extends object, K extends keyof T>(fields: T, names: readonly K[]): { [N in K]?: Exclude<T[N], undefined> } =>
  defined(Object.fromEntries(names.map((name) => [name, fields[name]]))) as { [N in K]?: Exclude<T[N], undefined> };

const wrong = (path: string, message: string) =>
  new DomainError('request.invalid', `Wrong: query ${path} (${message})`, { errors: [{ in: 'query', path, message }] });
