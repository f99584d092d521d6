import { text } from '../text.ts';
import { CommentField, Field, NumberField, Select } from '../ui/controls.tsx';
import { WindowFields } from '../ui/window-fields.tsx';
import { type StepProps, wrongText } from './devices-step.tsx';
import { canarySizeOf, type Draft } from './draft.ts';

/** How fast, who goes first, and what stops it. What is there already is good for most updates. */
export const SafetyStep = ({ draft, wrong, change, eligible }: StepProps & { eligible: number }) => (
  <section className="step" aria-label={text.wizard.safety}>
    <h2>{text.wizard.safety}</h2>
    <div className="fields">
      <NumberField
        label={text.wizard.perMinute}
        error={wrongText(wrong.perMinute)}
        {...{ minimum: 1, maximum: 1_000_000, value: draft.perMinute, onChange: (value) => change({ perMinute: value }) }}
      />
      <NumberField
        label={text.wizard.atWork}
        hint={text.wizard.atWorkHint}
        error={wrongText(wrong.atWork)}
        {...{ minimum: 1, maximum: 10_000_000, value: draft.atWork, onChange: (value) => change({ atWork: value }) }}
      />
      <Field label={text.wizard.start} hint={text.wizard.startHint}>
        {(ids) => <input {...ids} type="datetime-local" value={draft.start} onChange={(event) => change({ start: event.target.value })} />}
      </Field>
    </div>
    <WindowAndBudget {...{ draft, wrong, change }} />
    <div className="fields">
      <Select
        label={text.update.canary}
        value={draft.canary}
        hint={
          eligible === 0 && draft.canary === 'default' ? text.wizard.canaryUnknown : text.wizard.canaryHint(canarySizeOf(draft, eligible))
        }
        options={(['default', 'own', 'none'] as const).map((value) => ({ value, label: text.wizard.canaries[value] }))}
        onChange={(value) => change({ canary: value as Draft['canary'] })}
      />
      {draft.canary === 'own' && (
        <>
          <NumberField
            label={text.wizard.canarySize}
            error={wrongText(wrong.canarySize)}
            {...{ minimum: 1, maximum: 100_000, value: draft.canarySize, onChange: (value) => change({ canarySize: value }) }}
          />
          <NumberField
            label={text.wizard.canarySuccess}
            error={wrongText(wrong.canarySuccess)}
            unit="%"
            step="any"
            {...{ minimum: 0, maximum: 100, value: draft.canarySuccess, onChange: (value) => change({ canarySuccess: value }) }}
          />
          <NumberField
            label={text.wizard.canaryWait}
            error={wrongText(wrong.canaryWait)}
            unit="min"
            step="any"
            {...{ minimum: 0, maximum: 10_080, value: draft.canaryWait, onChange: (value) => change({ canaryWait: value }) }}
          />
        </>
      )}
    </div>
    <div className="fields">
      <NumberField
        label={text.wizard.stopAt}
        error={wrongText(wrong.stopAt)}
        unit="%"
        step="any"
        {...{ minimum: 0, maximum: 100, value: draft.stopAt, onChange: (value) => change({ stopAt: value }) }}
      />
      <NumberField
        label={text.wizard.stopFrom}
        hint={text.wizard.stopFromHint}
        error={wrongText(wrong.stopFrom)}
        {...{ minimum: 1, maximum: 1_000_000, value: draft.stopFrom, onChange: (value) => change({ stopFrom: value }) }}
      />
      <Select
        label={text.wizard.stopAction}
        value={draft.stopAction}
        options={(['ABORT', 'PAUSE'] as const).map((value) => ({ value, label: text.wizard.stopActions[value] }))}
        onChange={(value) => change({ stopAction: value as Draft['stopAction'] })}
      />
    </div>
    <div className="fields">
      <NumberField
        label={text.wizard.retries}
        error={wrongText(wrong.retries)}
        {...{ minimum: 0, maximum: 10, value: draft.retries, onChange: (value) => change({ retries: value }) }}
      />
      <NumberField
        label={text.wizard.minutesAtWork}
        hint={text.wizard.minutesAtWorkHint}
        error={wrongText(wrong.minutesAtWork)}
        unit="min"
        step="any"
        {...{ minimum: 0.1, maximum: 43_200, value: draft.minutesAtWork, onChange: (value) => change({ minutesAtWork: value }) }}
      />
      <CommentField className="wide" error={wrongText(wrong.comment)} value={draft.comment} onChange={(comment) => change({ comment })} />
    </div>
  </section>
);

const WindowAndBudget = ({ draft, wrong, change }: StepProps) => (
  <div className="fields">
    <Select
      label={text.wizard.window}
      value={draft.window}
      hint={wrongText(wrong.hours)}
      options={(['zones', 'own', 'ignore'] as const).map((value) => ({ value, label: text.wizard.windows[value] }))}
      onChange={(value) => change({ window: value as Draft['window'] })}
    />
    <NumberField
      label={text.wizard.budget}
      hint={text.wizard.budgetHint}
      error={wrongText(wrong.budget)}
      unit="%"
      step="any"
      {...{ minimum: 0, maximum: 100, value: draft.budget, onChange: (value) => change({ budget: value }) }}
    />
    {draft.window === 'own' && <WindowFields draft={draft.hours} onChange={(hours) => change({ hours })} hint={text.wizard.hoursHint} />}
  </div>
);
