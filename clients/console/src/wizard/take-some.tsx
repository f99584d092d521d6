import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { all, type Client, type DryRun, type DryRunDevices, type UpdateRequest } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { text } from '../text.ts';
import { NumberField } from '../ui/controls.tsx';
import { Failure } from '../ui/states.tsx';
import { mostIds } from './draft.ts';

/** The first `number` of the devices that would be updated, in the order of their ids; those whose version is known come first. */
const listEligible = async (api: Client, request: UpdateRequest, plan: DryRun, number: number): Promise<string[]> => {
  const ids: string[] = [];
  for (const reason of ['ELIGIBLE', 'ELIGIBLE_UNKNOWN_VERSION'] as const) {
    if (!plan.reasons.some((each) => each.reason === reason)) continue;
    const devices = all((page) => api.requestUpdate({ ...request, dry_run: { reason, ...page } }) as Promise<DryRunDevices>);
    for await (const { external_id } of devices) {
      if (ids.length === number) return ids;
      ids.push(external_id);
    }
  }
  return ids;
};

/** An exact number of devices: those who take part become a list of ids. (A sample is a share, and gives about as many.) */
export const TakeSome = ({ plan, request, onTake }: { plan: DryRun; request: UpdateRequest; onTake: (ids: readonly string[]) => void }) => {
  const api = useApi();
  const [typed, setTyped] = useState('');
  const number = /^\d+$/.test(typed.trim()) ? Number(typed) : 0;
  const most = Math.min(mostIds, plan.eligible - 1);
  const { mutate, isPending, error } = useMutation({
    mutationFn: () => listEligible(api, request, plan, number),
    onSuccess: (ids) => {
      setTyped('');
      onTake(ids);
    },
  });
  if (most < 1) return null;
  return (
    <>
      <div className="fields">
        <NumberField
          label={text.wizard.takeSome}
          error={number > most ? text.wizard.takeAtMost(most) : undefined}
          {...{ minimum: 1, maximum: most, value: typed, onChange: setTyped }}
        />
        <div className="actions">
          <button type="button" disabled={isPending || number < 1 || number > most} onClick={() => mutate()}>
            {text.wizard.takeFirst(number)}
          </button>
        </div>
      </div>
      <p className="small">{text.wizard.takeSomeHint}</p>
      {error && <Failure error={error} />}
    </>
  );
};
