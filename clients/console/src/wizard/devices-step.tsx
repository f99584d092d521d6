import type { DryRun } from '../../../api/src/index.ts';
import { formatNumber } from '../format.ts';
import { text } from '../text.ts';
import { Field, NumberField, Select } from '../ui/controls.tsx';
import { useHardwareTypes } from '../ui/hardware-types.ts';
import { useZones } from '../ui/zones.ts';
import { type Draft, idsOf, idsOfCsv, type Wrong } from './draft.ts';

export interface StepProps {
  draft: Draft;
  wrong: Wrong;
  change: (changes: Partial<Draft>) => void;
}

export const wrongText = (what: Wrong[keyof Wrong]): string | undefined => (what === undefined ? undefined : text.wrong[what]);

/** Who is meant: all devices that a filter finds, or those that are named. How many that are is seen at once. */
export const DevicesStep = ({ draft, wrong, change, plan, isCounting }: StepProps & { plan: DryRun | undefined; isCounting: boolean }) => {
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
        {(['filter', 'ids'] as const).map((choice) => (
          <label key={choice}>
            <input type="radio" name="choice" checked={draft.choice === choice} onChange={() => change({ choice })} />{' '}
            {text.wizard.choices[choice]}
          </label>
        ))}
      </fieldset>
      <div className="fields">
        <Select
          label={text.fleet.kind}
          value={draft.kind}
          options={(['scooter', 'cabinet'] as const).map((value) => ({ value, label: text.kinds[value] }))}
          onChange={(value) => change({ kind: value as Draft['kind'] })}
        />
        {draft.choice === 'filter' ? <FilterFields {...{ draft, wrong, change }} /> : <IdFields {...{ draft, wrong, change }} />}
      </div>
    </section>
  );
};

const FilterFields = ({ draft, wrong, change }: StepProps) => {
  const zones = useZones();
  const hardwareTypes = useHardwareTypes().filter(({ device_kind }) => device_kind === draft.kind);
  return (
    <>
      {draft.kind === 'scooter' && (
        <Select
          label={text.fleet.generation}
          value={draft.generation}
          any={text.filters.any}
          options={['1', '2'].map((value) => ({ value, label: value }))}
          onChange={(value) => change({ generation: value as Draft['generation'] })}
        />
      )}
      {zones.length > 0 && (
        <Select
          label={text.fleet.zone}
          value={draft.zone}
          any={text.filters.any}
          options={zones.map(({ name }) => ({ value: name, label: name }))}
          onChange={(value) => change({ zone: value })}
        />
      )}
      <Field label={text.device.tags} hint={text.wizard.tagsHint}>
        {(ids) => <input {...ids} type="text" value={draft.tags} onChange={(event) => change({ tags: event.target.value })} />}
      </Field>
      <Select
        label={text.wizard.running}
        value={draft.runningType}
        any={text.filters.any}
        options={hardwareTypes.map(({ name }) => ({ value: name, label: name }))}
        onChange={(value) => change({ runningType: value })}
      />
      {draft.runningType !== '' && (
        <Field label={text.wizard.runningVersion} error={wrongText(wrong.runningVersion)}>
          {(ids) => (
            <input {...ids} type="text" value={draft.runningVersion} onChange={(event) => change({ runningVersion: event.target.value })} />
          )}
        </Field>
      )}
      <NumberField
        label={text.wizard.sample}
        hint={text.wizard.sampleHint}
        error={wrongText(wrong.percentage)}
        unit="%"
        step="any"
        {...{ minimum: 0, maximum: 100, value: draft.percentage, onChange: (value) => change({ percentage: value }) }}
      />
    </>
  );
};

const IdFields = ({ draft, wrong, change }: StepProps) => (
  <>
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
