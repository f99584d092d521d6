// Which devices are meant, as it is filled in on several pages: the fleet's list, a group, a new update. Fields hold what was typed, and
// have the names that they have in an address.
import type { AddGroupBodyFilter, FirmwareListItem, Group, ListDevicesParams } from '../../../api/src/index.ts';

type DeviceFilter = AddGroupBodyFilter;

export interface FilterDraft {
  kind: '' | 'scooter' | 'cabinet';
  /** The beginning of their ids. */
  id: string;
  generation: '' | '1' | '2' | 'none';
  channel: '' | 'telematics' | 'iot';
  /** `none`: in no zone. */
  zone: string;
  /** Tags of which they have all, any, none; separated by spaces. */
  tags: string;
  any_tags: string;
  no_tags: string;
  revision: string;
  /** What is said about the version of the hardware type `type`. */
  compare: '' | 'running' | 'not_running' | 'older' | 'unknown';
  type: string;
  of: string;
  not_seen_days: string;
  retired: '' | 'true' | 'false';
}

export const emptyFilter: FilterDraft = {
  ...{ kind: '', id: '', generation: '', channel: '', zone: '', tags: '', any_tags: '', no_tags: '', revision: '' },
  ...{ compare: '', type: '', of: '', not_seen_days: '', retired: '' },
};

const fields = Object.keys(emptyFilter) as (keyof FilterDraft)[];
const choices: { [Field in keyof FilterDraft]?: readonly FilterDraft[Field][] } = {
  kind: ['scooter', 'cabinet'],
  generation: ['1', '2', 'none'],
  channel: ['telematics', 'iot'],
  compare: ['running', 'not_running', 'older', 'unknown'],
  retired: ['true', 'false'],
};

/** Of an address. A word that a field does not know counts as nothing. */
export const filterFromQuery = (query: URLSearchParams): FilterDraft => {
  const entries = fields.map((field) => {
    const value = query.get(field) ?? '';
    const known: readonly string[] | undefined = choices[field];
    return [field, known === undefined || known.includes(value) ? value : ''];
  });
  return Object.fromEntries(entries) as FilterDraft;
};

/** For an address: only what is filled in. */
export const queryOfFilter = (draft: FilterDraft): Record<string, string> =>
  Object.fromEntries(fields.filter((field) => draft[field] !== '').map((field) => [field, draft[field]]));

export const isEmptyFilter = (draft: FilterDraft): boolean => fields.every((field) => draft[field] === '');

/** Words separated by commas, semicolons or spaces; each once, in their order. */
export const wordsOf = (typed: string): string[] => [...new Set(typed.split(/[\s,;]+/).filter((word) => word !== ''))];

type Catalogue = readonly Pick<FirmwareListItem, 'id' | 'hardware_type' | 'version'>[];

const findFirmware = ({ type, of }: FilterDraft, catalogue: Catalogue) =>
  catalogue.find(({ hardware_type, version }) => hardware_type === type && version === of.trim());

export type WrongFilter = Partial<Record<'type' | 'of' | 'not_seen_days', 'type' | 'version' | 'notInCatalogue' | 'number'>>;

/** Which fields keep it from being asked for. */
export const findWrongInFilter = (draft: FilterDraft, catalogue: Catalogue): WrongFilter => {
  const { compare, type, of, not_seen_days } = draft;
  const wrong: WrongFilter = {};
  if (compare !== '' && type === '') wrong.type = 'type';
  else if (compare !== '' && compare !== 'unknown' && of.trim() === '') wrong.of = 'version';
  else if (compare === 'older' && !findFirmware(draft, catalogue)) wrong.of = 'notInCatalogue';
  if (not_seen_days !== '' && !/^[1-9]\d{0,3}$/.test(not_seen_days.trim())) wrong.not_seen_days = 'number';
  return wrong;
};

/** In the service's language. What is wrong in it is left out. */
export const toFilter = (draft: FilterDraft, catalogue: Catalogue): DeviceFilter => {
  const { kind, id, generation, channel, zone, revision, not_seen_days, retired } = draft;
  const [all, any, none] = [wordsOf(draft.tags), wordsOf(draft.any_tags), wordsOf(draft.no_tags)];
  const tags = { ...(all.length > 0 && { all }), ...(any.length > 0 && { any }), ...(none.length > 0 && { none }) };
  const days = Number(not_seen_days);
  return {
    ...(kind !== '' && { kind }),
    ...(id.trim() !== '' && { external_id_prefix: id.trim() }),
    // Cabinets have no generation.
    ...(generation !== '' && kind !== 'cabinet' && { version: generations[generation] }),
    ...(channel !== '' && { channel }),
    ...(zone !== '' && { zone }),
    ...(Object.keys(tags).length > 0 && { tags }),
    ...(revision.trim() !== '' && { revision: revision.trim() }),
    ...versionConditionOf(draft, catalogue),
    ...(days >= 1 && { not_seen_days: days }),
    ...(retired !== '' && { retired: retired === 'true' }),
  };
};

const generations = { 1: 1, 2: 2, none: 'none' } as const;

const versionConditionOf = (draft: FilterDraft, catalogue: Catalogue): DeviceFilter => {
  const { compare, type, of } = draft;
  if (compare === '' || type === '') return {};
  if (compare === 'unknown') return { unknown_version: type };
  if (of.trim() === '') return {};
  const running = { hardware_type: type, version: of.trim() };
  if (compare === 'running') return { running };
  if (compare === 'not_running') return { not_running: running };
  const firmware = findFirmware(draft, catalogue);
  return firmware ? { older_than_firmware_id: firmware.id } : {};
};

const dayMilliseconds = 86_400_000;

/** For a list of devices. Days count until the last midnight: so the list is the same one for a day, and its cursors stay good. */
export const toListParameters = (draft: FilterDraft, catalogue: Catalogue, today: Date): ListDevicesParams => {
  const { version, tags, running, not_running, not_seen_days, not_seen_since: _, ...others } = toFilter(draft, catalogue);
  const midnight = Math.floor(today.getTime() / dayMilliseconds) * dayMilliseconds;
  return {
    ...others,
    ...(version !== undefined && { version: `${version}` as const }),
    ...Object.fromEntries(Object.entries(tags ?? {}).map(([how, words]) => [`tags.${how}`, words.join(',')])),
    ...dotted('running', running),
    ...dotted('not_running', not_running),
    ...(not_seen_days !== undefined && { not_seen_since: new Date(midnight - not_seen_days * dayMilliseconds).toISOString() }),
  };
};

const dotted = (name: string, fieldsOf: object | undefined): Record<string, string> =>
  Object.fromEntries(Object.entries(fieldsOf ?? {}).map(([field, value]) => [`${name}.${field}`, String(value)]));

/** A group's filter, to be changed. A condition for which there is no field here (a moment instead of days) is not among them. */
export const fromFilter = (filter: Group['filter'], catalogue: Catalogue): FilterDraft => {
  const { kind, external_id_prefix, version, channel, zone, tags, revision, not_seen_days, retired } = filter;
  const words = (list: readonly string[] | undefined) => (list ?? []).join(' ');
  return {
    ...emptyFilter,
    ...{ kind: kind ?? '', id: external_id_prefix ?? '', channel: channel ?? '', zone: zone ?? '', revision: revision ?? '' },
    generation: version === undefined ? '' : (String(version) as FilterDraft['generation']),
    ...{ tags: words(tags?.all), any_tags: words(tags?.any), no_tags: words(tags?.none) },
    ...comparisonOf(filter, catalogue),
    not_seen_days: not_seen_days === undefined ? '' : String(not_seen_days),
    retired: retired === undefined ? '' : retired ? 'true' : 'false',
  };
};

const comparisonOf = (filter: Group['filter'], catalogue: Catalogue): Pick<FilterDraft, 'compare' | 'type' | 'of'> => {
  const { running, not_running, older_than_firmware_id, unknown_version } = filter;
  if (unknown_version !== undefined) return { compare: 'unknown', type: unknown_version, of: '' };
  const named = running ?? not_running ?? (older_than_firmware_id === undefined ? undefined : { firmware_id: older_than_firmware_id });
  if (named === undefined) return { compare: '', type: '', of: '' };
  const compare = running ? 'running' : not_running ? 'not_running' : 'older';
  if (!('firmware_id' in named)) return { compare, type: named.hardware_type, of: named.version };
  const firmware = catalogue.find(({ id }) => id === named.firmware_id);
  return { compare, type: firmware?.hardware_type ?? '', of: firmware?.version ?? '' };
};

/** Whether `fromFilter` keeps everything: a filter of another program's making may say more than there are fields for. */
export const isEditable = (filter: Group['filter'], catalogue: Catalogue): boolean =>
  filter.not_seen_since === undefined &&
  [filter.running, filter.not_running, filter.older_than_firmware_id, filter.unknown_version].filter((each) => each !== undefined).length <=
    1 &&
  Object.keys(findWrongInFilter(fromFilter(filter, catalogue), catalogue)).length === 0;
