import { useQuery } from '@tanstack/react-query';
import type { DryRun, FirmwareListItem } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { FilterFields } from '../filter/filter-fields.tsx';
import { formatNumber } from '../format.ts';
import { linkTo } from '../location.ts';
import { text } from '../text.ts';
import { Field, NumberField, Select } from '../ui/controls.tsx';
import { Empty } from '../ui/states.tsx';
import { type Draft, idsOf, idsOfCsv, isContinuous, type Wrong } from './draft.ts';

export interface StepProps {
  draft: Draft;
  wrong: Wrong;
  change: (changes: Partial<Draft>) => void;
}

export const wrongText = (what: Wrong[Exclude<keyof Wrong, 'filter'>]): string | undefined =>
  what === undefined ? undefined : text.wrong[what];

/** Who is meant: all devices that a filter finds, a group, or those that are named. How many that are is seen at once. */
export const DevicesStep = ({
  draft,
  firmware,
  wrong,
  change,
  plan,
  isCounting,
}: StepProps & { firmware: FirmwareListItem | undefined; plan: DryRun | undefined; isCounting: boolean }) => {
  const chosen = plan?.reasons.reduce((sum, { count }) => sum + count, 0);
  return (
    <section className="step" aria-label={text.wizard.devices}>
      <h2>
        {text.wizard.devices}
        <span className={`count ${isCounting ? 'counting' : ''}`} aria-live="polite">
          {chosen === undefined ? '' : text.wizard.chosen(chosen)}
        </span>
      </h2>
      <fieldset className="choice">
        <legend className="visually-hidden">{text.wizard.how}</legend>
        {(['filter', 'group', 'ids'] as const).map((choice) => (
          <label key={choice}>
            <input type="radio" name="choice" checked={draft.choice === choice} onChange={() => change({ choice })} />{' '}
            {text.wizard.choices[choice]}
          </label>
        ))}
      </fieldset>
      {draft.choice === 'filter' && (
        <FilterFields
          isOfUpdate
          draft={draft.filter}
          wrong={wrong.filter ?? {}}
          change={(changes) => {
            const filter = { ...draft.filter, ...changes };
            change({ filter, ...(filter.kind !== '' && { kind: filter.kind }) });
          }}
        />
      )}
      <div className="fields">
        {draft.choice === 'group' && <GroupField {...{ draft, wrong, change }} />}
        {draft.choice === 'ids' ? <IdFields {...{ draft, wrong, change }} /> : <SampleField {...{ draft, wrong, change }} />}
      </div>
      {draft.choice !== 'ids' && (
        <label className="check">
          <input type="checkbox" checked={draft.continuous} onChange={(event) => change({ continuous: event.target.checked })} />{' '}
          {text.wizard.continuous}
        </label>
      )}
      {wrong.continuous && <p className="wrong">{wrongText(wrong.continuous)}</p>}
      {isContinuous(draft) && firmware && <ReplacesField hardwareType={firmware.hardware_type} {...{ draft, change }} />}
    </section>
  );
};

/** In which a continuous update is open. */
const openStatuses = ['IN_PROGRESS', 'PAUSED', 'SCHEDULED', 'WAITING_FOR_APPROVAL'] as const;

/** Which open update of the same hardware type ends when this one begins. Nothing where there is none. */
const ReplacesField = ({ hardwareType, draft, change }: Pick<StepProps, 'draft' | 'change'> & { hardwareType: string }) => {
  const api = useApi();
  const { data: open = [] } = useQuery({
    queryKey: ['updates', 'continuous', hardwareType],
    queryFn: async ({ signal }) => {
      const pages = openStatuses.map((status) => api.listUpdates({ hardware_type: hardwareType, status, limit: 500 }, { signal }));
      return (await Promise.all(pages)).flatMap(({ items }) => items.filter(({ continuous }) => continuous));
    },
  });
  if (open.length === 0) return null;
  return (
    <div className="fields">
      <Select
        label={text.update.replaces}
        value={draft.replaces}
        any={text.wizard.replacesNone}
        hint={draft.replaces === '' ? text.wizard.replacesNoneHint : text.wizard.replacesHint}
        options={open.map(({ id, firmware_version }) => ({ value: String(id), label: text.wizard.replacesOne(id, firmware_version) }))}
        onChange={(replaces) => change({ replaces })}
      />
    </div>
  );
};

const SampleField = ({ draft, wrong, change }: StepProps) => (
  <NumberField
    label={text.wizard.sample}
    hint={text.wizard.sampleHint}
    error={wrongText(wrong.percentage)}
    unit="%"
    step="any"
    {...{ minimum: 0, maximum: 100, value: draft.percentage, onChange: (value) => change({ percentage: value }) }}
  />
);

/** To choose among: the first 500. */
const GroupField = ({ draft, change }: StepProps) => {
  const api = useApi();
  const { data: groups } = useQuery({
    queryKey: ['groups', 'to choose among'],
    queryFn: async ({ signal }) => (await api.listGroups({ limit: 500 }, { signal })).items,
  });
  if (groups?.length === 0) return <Empty action={<a href={linkTo('/groups')}>{text.groups.add}</a>}>{text.groups.none}</Empty>;
  const chosen = groups?.find(({ name }) => name === draft.group);
  return (
    <Select
      label={text.groups.group}
      value={draft.group}
      any={text.wizard.choose}
      hint={chosen && text.filterOf(chosen.filter)}
      options={(groups ?? []).map(({ name }) => ({ value: name, label: name }))}
      onChange={(group) => {
        const kind = groups?.find(({ name }) => name === group)?.filter.kind;
        change({ group, ...(kind && { kind }) });
      }}
    />
  );
};

const IdFields = ({ draft, wrong, change }: StepProps) => (
  <>
    <Select
      label={text.fleet.kind}
      value={draft.kind}
      options={(['scooter', 'cabinet'] as const).map((value) => ({ value, label: text.kinds[value] }))}
      onChange={(value) => change({ kind: value as Draft['kind'] })}
    />
    <Field
      label={text.wizard.ids}
      hint={text.wizard.idsHint(formatNumber(idsOf(draft.ids).length))}
      error={draft.ids === '' ? undefined : wrongText(wrong.ids)}
      className="wide"
    >
      {(ids) => (
        <textarea {...ids} rows={6} spellCheck={false} value={draft.ids} onChange={(event) => change({ ids: event.target.value })} />
      )}
    </Field>
    <Field label={text.wizard.csv} hint={text.wizard.csvHint}>
      {(ids) => (
        <input
          {...ids}
          type="file"
          accept=".csv,.txt,text/csv,text/plain"
          onChange={async ({ target }) => {
            const file = target.files?.[0];
            if (file) change({ ids: idsOfCsv(await file.text()).join('\n') });
          }}
        />
      )}
    </Field>
  </>
);
