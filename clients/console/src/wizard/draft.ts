// What somebody has filled in on the page of a new update, and the request that it makes. Fields hold what was typed.
import type { FirmwareListItem, RequestUpdateBody, UpdateRequest } from '../../../api/src/index.ts';
import {
  emptyFilter,
  type FilterDraft,
  filterFromQuery,
  findWrongInFilter,
  toFilter,
  type WrongFilter,
  wordsOf,
} from '../filter/filter.ts';
import { isWindow, noWindow, toWindow, type WindowDraft } from '../ui/window.ts';

export interface Draft {
  firmwareId: number | null;
  choice: 'filter' | 'group' | 'ids';
  /** Of which kind the devices are. A group may say it itself. */
  kind: 'scooter' | 'cabinet';
  filter: FilterDraft;
  group: string;
  percentage: string;
  ids: string;
  perMinute: string;
  atWork: string;
  canary: 'default' | 'own' | 'none';
  canarySize: string;
  canaryWait: string;
  canarySuccess: string;
  stopAt: string;
  stopFrom: string;
  stopAction: 'ABORT' | 'PAUSE';
  retries: string;
  minutesAtWork: string;
  start: string;
  /** When devices may be asked: as their zones say, within a window of its own too, or whatever zones say. */
  window: 'zones' | 'own' | 'ignore';
  hours: WindowDraft;
  /** Of a zone's devices, in per cent. */
  budget: string;
  allowDowngrade: boolean;
  force: boolean;
  /** Stays open for devices that come to match. Those that are named by their ids cannot. */
  continuous: boolean;
  /** The id of the continuous update that ends when this one begins; empty: none. */
  replaces: string;
  /** Takes devices that nobody has asked yet out of older updates. */
  supersede: boolean;
  unknownVersion: 'INCLUDE' | 'EXCLUDE';
  comment: string;
}

/** The service's own defaults, said so that they can be seen and changed; one try more, because devices lose their connection. */
export const emptyDraft: Draft = {
  firmwareId: null,
  choice: 'filter',
  kind: 'scooter',
  filter: { ...emptyFilter, kind: 'scooter' },
  group: '',
  percentage: '',
  ids: '',
  perMinute: '1000',
  atWork: '',
  canary: 'default',
  canarySize: '50',
  canaryWait: '0',
  canarySuccess: '90',
  stopAt: '10',
  stopFrom: '100',
  stopAction: 'ABORT',
  retries: '1',
  minutesAtWork: '60',
  start: '',
  window: 'zones',
  hours: { ...noWindow, from: '02:00', until: '05:00' },
  budget: '',
  allowDowngrade: false,
  force: false,
  continuous: false,
  replaces: '',
  supersede: false,
  unknownVersion: 'INCLUDE',
  comment: '',
};

/** Of the address: what another page has chosen. */
export const draftFrom = (query: URLSearchParams, ids: string): Draft => {
  const firmware = Number(query.get('firmware'));
  const group = query.get('group') ?? '';
  const filter = filterFromQuery(query);
  const kind = filter.kind === 'cabinet' ? 'cabinet' : 'scooter';
  return {
    ...emptyDraft,
    firmwareId: firmware > 0 ? firmware : null,
    choice: ids !== '' ? 'ids' : group !== '' ? 'group' : 'filter',
    ...{ ids, group, kind, filter: { ...filter, kind } },
  };
};

export const mostIds = 10_000;

/** Of a table of lines, or as somebody has pasted them. */
export const idsOf = wordsOf;

const isIdColumn = (title: string): boolean => /^"?(external_id|id|device|scooter)"?$/i.test(title);

/** The ids of a table: of its column `external_id` (or `id`), else of its first one. */
export const idsOfCsv = (csv: string): string[] => {
  const lines = csv
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
  const separator = lines[0]?.includes(';') ? ';' : ',';
  const rows = lines.map((line) => line.split(separator).map((cell) => cell.trim().replace(/^"(.*)"$/, '$1')));
  const column = rows[0]?.findIndex(isIdColumn) ?? -1;
  const ids = rows.slice(column >= 0 ? 1 : 0).map((row) => row[Math.max(0, column)] ?? '');
  return [...new Set(ids.filter((id) => id !== ''))];
};

const whole = (typed: string): number | undefined => (/^\d+$/.test(typed.trim()) ? Number(typed) : undefined);
const decimal = (typed: string): number | undefined => (typed.trim() === '' || Number.isNaN(Number(typed)) ? undefined : Number(typed));

export type Catalogue = readonly Pick<FirmwareListItem, 'id' | 'hardware_type' | 'version'>[];

export type DraftField = keyof Draft;
export type Wrong = Partial<
  Record<Exclude<DraftField, 'filter'>, 'number' | 'percentage' | 'tooMany' | 'none' | 'comment' | 'group' | 'hours' | 'passing'>
> & {
  filter?: WrongFilter;
};

/** Which fields keep the update from being requested. */
export const findWrong = (draft: Draft, catalogue: Catalogue): Wrong => {
  const wrong: Wrong = {};
  const wants = (field: Exclude<DraftField, 'filter'>, isRight: boolean, what: Wrong[typeof field]) => {
    if (!isRight && what !== undefined) wrong[field] = what;
  };
  const percentage = (typed: string) => (decimal(typed) ?? 0) > 0 && (decimal(typed) ?? 0) <= 100;
  wants('continuous', !isContinuous(draft) || draft.choice !== 'filter' || draft.filter.not_seen_days === '', 'passing');
  if (draft.choice === 'ids') {
    const ids = idsOf(draft.ids).length;
    wants('ids', ids > 0, 'none');
    wants('ids', ids <= mostIds, 'tooMany');
  } else {
    wants('percentage', draft.percentage === '' || percentage(draft.percentage), 'percentage');
    wants('group', draft.choice !== 'group' || draft.group !== '', 'group');
    const inFilter = draft.choice === 'filter' ? findWrongInFilter(draft.filter, catalogue) : {};
    if (Object.keys(inFilter).length > 0) wrong.filter = inFilter;
  }
  wants('perMinute', (whole(draft.perMinute) ?? 0) >= 1, 'number');
  wants('atWork', draft.atWork === '' || (whole(draft.atWork) ?? 0) >= 1, 'number');
  if (draft.canary === 'own') {
    wants('canarySize', (whole(draft.canarySize) ?? 0) >= 1, 'number');
    wants('canaryWait', decimal(draft.canaryWait) !== undefined, 'number');
    wants('canarySuccess', percentage(draft.canarySuccess), 'percentage');
  }
  wants('stopAt', percentage(draft.stopAt), 'percentage');
  wants('stopFrom', (whole(draft.stopFrom) ?? 0) >= 1, 'number');
  wants('retries', whole(draft.retries) !== undefined, 'number');
  wants('minutesAtWork', (decimal(draft.minutesAtWork) ?? 0) > 0, 'number');
  wants('comment', !(draft.allowDowngrade || draft.window === 'ignore') || draft.comment.trim() !== '', 'comment');
  wants('hours', draft.window !== 'own' || (draft.hours.from !== '' && isWindow(draft.hours)), 'hours');
  wants('budget', draft.budget === '' || percentage(draft.budget), 'percentage');
  return wrong;
};

/** Whether enough is filled in to ask who takes part, and when. */
export const canPlan = ({ ids, percentage, group, filter, hours, budget, perMinute, atWork, continuous }: Wrong): boolean =>
  !continuous && !ids && !percentage && !group && !filter && !hours && !budget && !perMinute && !atWork;

const targetsOf = (draft: Draft, catalogue: Catalogue): RequestUpdateBody['targets'] => {
  const { kind, choice, group } = draft;
  if (choice === 'ids') return { kind, external_ids: idsOf(draft.ids) };
  const percentage = decimal(draft.percentage);
  const sample = percentage === undefined ? {} : { percentage };
  return choice === 'group' ? { group, ...sample } : { filter: { ...toFilter(draft.filter, catalogue), kind, ...sample } };
};

export const isContinuous = ({ continuous, choice }: Pick<Draft, 'continuous' | 'choice'>): boolean => continuous && choice !== 'ids';

/** What decides who takes part: all that a dry run needs. */
export const planOf = (draft: Draft, firmware_id: number, catalogue: Catalogue): UpdateRequest => ({
  firmware_id,
  targets: targetsOf(draft, catalogue),
  allow_downgrade: draft.allowDowngrade,
  force: draft.force,
  ...(draft.supersede && { supersede: true }),
  ...(isContinuous(draft) && { continuous: true, ...(draft.replaces !== '' && { replaces_update_id: Number(draft.replaces) }) }),
  unknown_version: draft.unknownVersion,
  comment: draft.comment.trim() || (draft.allowDowngrade || draft.window === 'ignore' ? '-' : ''),
  ...(draft.window === 'own' && { window: toWindow(draft.hours) }),
  ...(draft.window === 'ignore' && { ignore_window: true }),
  ...(draft.start !== '' && { start_dt: new Date(draft.start).toISOString() }),
  rollout: rolloutOf(draft),
});

const rolloutOf = ({ perMinute, atWork, budget }: Draft): NonNullable<RequestUpdateBody['rollout']> => ({
  maximum_per_minute: whole(perMinute) ?? 1,
  maximum_in_progress: whole(atWork) ?? null,
  ...(decimal(budget) !== undefined && { maximum_unavailable_percentage: decimal(budget) ?? 0 }),
});

const canaryOf = (draft: Draft): Pick<RequestUpdateBody, 'canary'> => {
  if (draft.canary === 'default') return {};
  if (draft.canary === 'none') return { canary: null };
  return {
    canary: {
      size: whole(draft.canarySize) ?? 0,
      minimum_wait_minutes: decimal(draft.canaryWait) ?? 0,
      success_percentage: decimal(draft.canarySuccess) ?? 0,
    },
  };
};

export const requestOf = (draft: Draft, firmware_id: number, catalogue: Catalogue): UpdateRequest => ({
  ...planOf(draft, firmware_id, catalogue),
  comment: draft.comment.trim(),
  ...canaryOf(draft),
  abort: {
    threshold_percentage: decimal(draft.stopAt) ?? 0,
    minimum_executions: whole(draft.stopFrom) ?? 0,
    action: draft.stopAction,
  },
  timeouts: { in_progress_minutes: decimal(draft.minutesAtWork) ?? 0 },
  retry: { number_of_retries: whole(draft.retries) ?? 0 },
});

/** Of the service's default canary: 0.5 % but at least 50, for updates of 200 devices or more. */
export const canarySizeOf = (draft: Draft, eligible: number): number => {
  if (draft.canary === 'none') return 0;
  if (draft.canary === 'own') return Math.min(eligible, whole(draft.canarySize) ?? 0);
  return eligible < 200 ? 0 : Math.max(50, Math.ceil(eligible * 0.005));
};
