import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useDeferredValue, useState } from 'react';
import { type DryRun, type FirmwareListItem, planUpdate, startUpdate } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { goTo, useQueryOfPage } from '../location.ts';
import { text } from '../text.ts';
import { Button } from '../ui/controls.tsx';
import { useAvailableFirmwares } from '../ui/firmwares.ts';
import { Page } from '../ui/page.tsx';
import { Failure } from '../ui/states.tsx';
import { useSettled } from '../ui/use-settled.ts';
import { takeChosen } from '../wizard/chosen-devices.ts';
import { DevicesStep } from '../wizard/devices-step.tsx';
import { type Catalogue, canPlan, type Draft, draftFrom, findWrong, isContinuous, planOf, requestOf } from '../wizard/draft.ts';
import { DryRunStep } from '../wizard/dry-run-step.tsx';
import { FirmwareStep } from '../wizard/firmware-step.tsx';
import { SafetyStep } from '../wizard/safety-step.tsx';

/** Who would be updated, asked anew as the draft changes. */
const useDryRun = (draft: Draft, firmware: FirmwareListItem | undefined, isRight: boolean, catalogue: Catalogue) => {
  const api = useApi();
  const plan = useSettled(firmware && isRight ? planOf(draft, firmware.id, catalogue) : undefined);
  return useQuery({
    queryKey: ['dry run', plan],
    queryFn: (): Promise<DryRun> => (plan ? planUpdate(api, plan) : Promise.reject(new Error('There is nothing to ask for'))),
    enabled: plan !== undefined,
    placeholderData: (before) => before,
    staleTime: 10_000,
  });
};

export const NewUpdatePage = () => {
  const api = useApi();
  const cache = useQueryClient();
  const [query] = useQueryOfPage();
  const [draft, setDraft] = useState<Draft>(() => draftFrom(query, takeChosen()));
  const change = (changes: Partial<Draft>) => setDraft((before) => ({ ...before, ...changes }));
  const firmwares = useAvailableFirmwares();
  const firmware = firmwares.data?.find(({ id }) => id === draft.firmwareId);
  const catalogue = firmwares.data ?? [];
  const wrong = findWrong(draft, catalogue);
  const isChosen = canPlan(wrong);
  const dryRun = useDryRun(useDeferredValue(draft), firmware, isChosen, catalogue);
  const plan = firmware && isChosen ? dryRun.data : undefined;
  const eligible = plan?.eligible ?? 0;
  const [key] = useState(() => crypto.randomUUID());
  const start = useMutation({
    mutationFn: () => startUpdate(api, requestOf(draft, firmware?.id ?? 0, catalogue), { idempotencyKey: key }),
    onSuccess: async ({ id }) => {
      await cache.invalidateQueries({ queryKey: ['updates'] });
      goTo(`/updates/${id}`);
    },
  });
  const isReady =
    firmware !== undefined && Object.keys(wrong).length === 0 && (eligible > 0 || isContinuous(draft)) && !dryRun.isPlaceholderData;
  return (
    <Page title={text.wizard.title} lead={text.wizard.lead}>
      <form
        className="wizard"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (isReady) start.mutate();
        }}
      >
        <FirmwareStep
          firmwares={firmwares}
          chosen={firmware}
          onChoose={(chosen, kind) =>
            change({ firmwareId: chosen, replaces: '', ...(kind && { kind, filter: { ...draft.filter, kind } }) })
          }
        />
        <DevicesStep {...{ draft, firmware, wrong, change, plan }} isCounting={dryRun.isFetching} />
        <DryRunStep {...{ draft, firmware, catalogue, plan, change, wrong }} query={dryRun} />
        <SafetyStep draft={draft} wrong={wrong} change={change} eligible={eligible} />
        <section className="step summary" aria-label={text.wizard.summary}>
          <p className="situation" aria-live="polite">
            {text.wizard.sentence({ draft, firmware, plan, isReady, isCounting: dryRun.isFetching || dryRun.isPlaceholderData })}
          </p>
          {plan?.needs_approval && <p className="warning">{text.wizard.needsApproval}</p>}
          {start.error && <Failure error={start.error} />}
          <Button type="submit" kind="primary" scope="updates:write" disabled={!isReady || start.isPending}>
            {text.wizard.act(eligible, draft.kind, plan?.needs_approval ?? false)}
          </Button>
        </section>
      </form>
    </Page>
  );
};
