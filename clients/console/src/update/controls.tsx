// The buttons of an update. Each says beforehand who is affected, by the counts of the moment in which it is pressed.
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { ControlAnswer, Update, UpdateDetail } from '../../../api/src/index.ts';
import { useApi, useService } from '../api.ts';
import { goTo } from '../location.ts';
import { text } from '../text.ts';
import { Button, CommentField, Field, NumberField } from '../ui/controls.tsx';
import { Confirmation } from '../ui/dialog.tsx';
import { failedOf } from './situation.ts';

type Action = 'approve' | 'reject' | 'pause' | 'resume' | 'cancel' | 'pace' | 'retry';
const scopeOf = (action: Action): string => (action === 'approve' || action === 'reject' ? 'updates:approve' : 'updates:write');

/** Which of them an update can take now. */
export const actionsOf = ({ status, finished_dt, counts }: UpdateDetail): Action[] => {
  if (finished_dt !== null) return failedOf(counts) > 0 ? ['retry'] : [];
  if (status === 'CANCELED' || status === 'ABORTED') return counts.IN_PROGRESS > 0 ? ['cancel'] : [];
  if (status === 'WAITING_FOR_APPROVAL') return ['approve', 'reject', 'cancel'];
  return [status === 'PAUSED' ? 'resume' : 'pause', 'pace', 'cancel'];
};

export const Controls = ({ update }: { update: UpdateDetail }) => {
  const [open, setOpen] = useState<Action>();
  const { session } = useService();
  const close = () => setOpen(undefined);
  // The service refuses both decisions to whoever has requested it. They can cancel it instead of rejecting it.
  const isOwn = session.subject === update.created_by;
  const dialogs: Record<Action, () => React.ReactNode> = {
    approve: () => <Approve update={update} onClose={close} />,
    reject: () => <Reject update={update} onClose={close} />,
    pause: () => <Pause update={update} onClose={close} />,
    resume: () => <Resume update={update} onClose={close} />,
    cancel: () => <Cancel update={update} onClose={close} />,
    pace: () => <ChangePace update={update} onClose={close} />,
    retry: () => <Retry update={update} onClose={close} />,
  };
  return (
    <>
      {actionsOf(update)
        .filter((action) => !(isOwn && action === 'reject'))
        .map((action) => (
          <Button
            key={action}
            scope={scopeOf(action)}
            kind={action === 'cancel' || action === 'reject' ? 'danger' : action === 'pace' ? 'plain' : 'primary'}
            refusal={isOwn && action === 'approve' ? text.controls.secondPerson : undefined}
            onClick={() => setOpen(action)}
          >
            {text.controls[action]}
          </Button>
        ))}
      {open && dialogs[open]()}
    </>
  );
};

interface DialogProps {
  update: UpdateDetail;
  onClose: () => void;
}

/** What was done is told in the page at once, and asked for anew. */
const useControl = ({ update, onClose }: DialogProps, work: (id: number) => Promise<ControlAnswer>) => {
  const cache = useQueryClient();
  return useMutation({
    mutationFn: () => work(update.id),
    onSuccess: async () => {
      onClose();
      await cache.invalidateQueries({ queryKey: ['update', update.id] });
      await cache.invalidateQueries({ queryKey: ['updates'] });
    },
  });
};

const ReasonField = ({ value, onChange }: { value: string; onChange: (value: string) => void }) => (
  <Field label={text.controls.reason} hint={text.controls.reasonHint}>
    {(ids) => <input {...ids} type="text" maxLength={500} value={value} onChange={(event) => onChange(event.target.value)} />}
  </Field>
);

const Approve = (props: DialogProps) => {
  const api = useApi();
  const [remark, setRemark] = useState('');
  const { mutate, isPending, error } = useControl(props, (id) => api.approveUpdate(id, { remark }));
  return (
    <Confirmation
      title={text.controls.approveTitle(props.update.id)}
      act={text.controls.approve}
      {...{ onAct: mutate, onClose: props.onClose, isPending, error }}
    >
      <p>{text.controls.approveSays(props.update.counts.QUEUED, props.update.created_by, props.update.start_dt)}</p>
      <Field label={text.controls.remark}>
        {(ids) => <input {...ids} type="text" maxLength={2000} value={remark} onChange={(event) => setRemark(event.target.value)} />}
      </Field>
    </Confirmation>
  );
};

const Reject = (props: DialogProps) => {
  const api = useApi();
  const [remark, setRemark] = useState('');
  const { mutate, isPending, error } = useControl(props, (id) => api.rejectUpdate(id, { remark }));
  return (
    <Confirmation
      title={text.controls.rejectTitle(props.update.id)}
      act={text.controls.reject}
      kind="danger"
      isBlocked={remark.trim() === ''}
      {...{ onAct: mutate, onClose: props.onClose, isPending, error }}
    >
      <p>{text.controls.rejectSays(props.update.counts.QUEUED)}</p>
      <Field label={text.controls.remark} hint={text.controls.remarkHint}>
        {(ids) => <input {...ids} type="text" maxLength={2000} value={remark} onChange={(event) => setRemark(event.target.value)} />}
      </Field>
    </Confirmation>
  );
};

const Pause = (props: DialogProps) => {
  const api = useApi();
  const [reason, setReason] = useState('');
  const { mutate, isPending, error } = useControl(props, (id) => api.pauseUpdate(id, { reason: reason || null }));
  const { QUEUED, IN_PROGRESS } = props.update.counts;
  return (
    <Confirmation
      title={text.controls.pauseTitle(props.update.id)}
      act={text.controls.pause}
      {...{ onAct: mutate, onClose: props.onClose, isPending, error }}
    >
      <p>{text.controls.pauseSays(QUEUED, IN_PROGRESS)}</p>
      <ReasonField value={reason} onChange={setReason} />
    </Confirmation>
  );
};

const Resume = (props: DialogProps) => {
  const api = useApi();
  const { mutate, isPending, error } = useControl(props, (id) => api.resumeUpdate(id, {}));
  const { counts, rollout } = props.update;
  return (
    <Confirmation
      title={text.controls.resumeTitle(props.update.id)}
      act={text.controls.resume}
      {...{ onAct: mutate, onClose: props.onClose, isPending, error }}
    >
      <p>{text.controls.resumeSays(counts.QUEUED, rollout.maximum_per_minute)}</p>
    </Confirmation>
  );
};

const Cancel = (props: DialogProps) => {
  const api = useApi();
  const [reason, setReason] = useState('');
  const [force, setForce] = useState(false);
  const { mutate, isPending, error } = useControl(props, (id) => api.cancelUpdate(id, { reason: reason || null, force }));
  const { QUEUED, IN_PROGRESS } = props.update.counts;
  return (
    <Confirmation
      title={text.controls.cancelTitle(props.update.id)}
      act={text.controls.cancel}
      kind="danger"
      {...{ onAct: mutate, onClose: props.onClose, isPending, error }}
    >
      <p>{text.controls.cancelSays(QUEUED, IN_PROGRESS)}</p>
      <label className="check">
        <input type="checkbox" checked={force} onChange={(event) => setForce(event.target.checked)} /> {text.controls.force(IN_PROGRESS)}
      </label>
      <ReasonField value={reason} onChange={setReason} />
    </Confirmation>
  );
};

const ChangePace = (props: DialogProps) => {
  const api = useApi();
  const { rollout, counts } = props.update;
  const [perMinute, setPerMinute] = useState(String(rollout.maximum_per_minute));
  const [atWork, setAtWork] = useState(rollout.maximum_in_progress === null ? '' : String(rollout.maximum_in_progress));
  const { mutate, isPending, error } = useControl(props, (id) =>
    api.changeUpdatePace(id, {
      rollout: { maximum_per_minute: Number(perMinute), maximum_in_progress: atWork === '' ? null : Number(atWork) },
    }),
  );
  return (
    <Confirmation
      title={text.controls.paceTitle(props.update.id)}
      act={text.controls.pace}
      isBlocked={!(Number(perMinute) >= 1)}
      {...{ onAct: mutate, onClose: props.onClose, isPending, error }}
    >
      <p>{text.controls.paceSays(counts.QUEUED)}</p>
      <NumberField label={text.wizard.perMinute} minimum={1} maximum={1_000_000} value={perMinute} onChange={setPerMinute} />
      <NumberField
        label={text.wizard.atWork}
        hint={text.wizard.atWorkHint}
        {...{ minimum: 1, maximum: 10_000_000, value: atWork, onChange: setAtWork }}
      />
    </Confirmation>
  );
};

const Retry = ({ update, onClose }: DialogProps) => {
  const api = useApi();
  const cache = useQueryClient();
  const [comment, setComment] = useState('');
  const [key] = useState(() => crypto.randomUUID());
  const { mutate, isPending, error } = useMutation({
    mutationFn: () => api.retryUpdate(update.id, { comment }, { 'idempotency-key': key }) as Promise<Update>,
    onSuccess: async ({ id }) => {
      onClose();
      await cache.invalidateQueries({ queryKey: ['updates'] });
      goTo(`/updates/${id}`);
    },
  });
  const { counts } = update;
  return (
    <Confirmation title={text.controls.retryTitle(update.id)} act={text.controls.retry} {...{ onAct: mutate, onClose, isPending, error }}>
      <p>{text.controls.retrySays(failedOf(counts), counts.CANCELED)}</p>
      <CommentField value={comment} onChange={setComment} />
    </Confirmation>
  );
};
