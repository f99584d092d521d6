import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useId, useState } from 'react';
import { useApi, useService } from '../api.ts';
import { formatBytes, formatWholeShare } from '../format.ts';
import { linkTo } from '../location.ts';
import { text } from '../text.ts';
import { Button, CommentField, Field, Select, TextField } from '../ui/controls.tsx';
import { hardwareTypesQuery, useHardwareTypes } from '../ui/hardware-types.ts';
import { Failure } from '../ui/states.tsx';
import { Icon } from '../ui/status.tsx';
import { findWarning, guessFrom } from './file-looks.ts';
import {
  addFile,
  cancelUpload,
  changeUpload,
  findNeighbour,
  isAtWork,
  removeUpload,
  startUpload,
  type Upload,
  useUploads,
} from './uploads.ts';

const scope = 'firmware:write';

/** Where files are dropped, and below it each with its own fields and its own progress. */
export const DropZone = () => {
  const { scopes } = useService().session;
  const api = useApi();
  const cache = useQueryClient();
  const uploads = useUploads();
  const [isOver, setOver] = useState(false);
  const id = useId();
  const isAllowed = scopes.has(scope);
  const add = async (files: FileList | null) => {
    const chosen = [...(files ?? [])]; // the browser empties the list when the field is emptied
    const types = await cache.ensureQueryData(hardwareTypesQuery(api)).catch(() => []);
    for (const file of chosen) {
      const guess = guessFrom(
        file.name,
        types.map(({ name }) => name),
      );
      await addFile(file, guess);
    }
  };
  return (
    <>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: dropping is one more way; the field within does the same by keyboard */}
      <div
        className={`drop-zone ${isOver ? 'over' : ''}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(isAllowed);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          if (isAllowed) void add(event.dataTransfer.files);
        }}
      >
        <Icon name="arrow" />
        <label htmlFor={id}>{text.upload.drop}</label>
        <input
          id={id}
          type="file"
          className="visually-hidden"
          multiple
          disabled={!isAllowed}
          onChange={({ target }) => {
            void add(target.files);
            target.value = '';
          }}
        />
        {!isAllowed && <span className="small">{text.lacksScope(scope)}</span>}
      </div>
      {uploads.length > 0 && (
        <ul className="uploads">
          {uploads.map((upload) => (
            <UploadRow key={upload.key} upload={upload} />
          ))}
        </ul>
      )}
    </>
  );
};

const UploadRow = ({ upload }: { upload: Upload }) => {
  const api = useApi();
  const cache = useQueryClient();
  const { key, file, hardware_type, version, comment, revisions, phase } = upload;
  const hardwareTypes = useHardwareTypes();
  const isOpen = phase === 'ready' || phase === 'failed' || phase === 'canceled';
  const start = async () => {
    if (await startUpload(api, upload)) await cache.invalidateQueries({ queryKey: ['firmwares'] });
  };
  return (
    <li>
      <form
        aria-label={file.name}
        onSubmit={(event) => {
          event.preventDefault();
          void start();
        }}
      >
        <p className="file">
          <strong>{file.name}</strong> <span className="small">{formatBytes(file.size)}</span>
        </p>
        {isOpen && (
          <div className="fields">
            <Select
              label={text.firmwares.type}
              value={hardware_type}
              any={text.wizard.choose}
              options={hardwareTypes.map(({ name }) => ({ value: name, label: name }))}
              onChange={(value) => changeUpload(key, { hardware_type: value })}
            />
            <Field label={text.firmwares.version}>
              {(ids) => (
                <input
                  {...ids}
                  type="text"
                  maxLength={64}
                  value={version}
                  onChange={(event) => changeUpload(key, { version: event.target.value })}
                />
              )}
            </Field>
            <TextField
              label={text.firmwares.revisions}
              hint={text.firmwares.revisionsHint}
              value={revisions}
              onChange={(value) => changeUpload(key, { revisions: value })}
            />
            <CommentField value={comment} onChange={(comment) => changeUpload(key, { comment })} />
          </div>
        )}
        {isOpen && <LooksOdd upload={upload} />}
        <Progress upload={upload} />
        {phase === 'failed' && <Failure error={upload.error} />}
        <div className="actions">
          {upload.firmware && (
            <>
              <a href={linkTo(`/firmwares/${upload.firmware.id}`)}>{text.upload.look}</a>
              {upload.firmware.status === 'available' && (
                <a className="button primary" href={linkTo('/updates/new', { firmware: String(upload.firmware.id) })}>
                  {text.firmwares.updateWith}
                </a>
              )}
            </>
          )}
          {isAtWork(upload) ? (
            <button type="button" onClick={() => cancelUpload(key)}>
              {text.upload.cancel}
            </button>
          ) : (
            <button type="button" onClick={() => removeUpload(key)}>
              {text.upload.remove}
            </button>
          )}
          {isOpen && (
            <Button type="submit" kind="primary" scope={scope} disabled={hardware_type === '' || version.trim() === ''}>
              {phase === 'ready' ? text.upload.start : text.states.tryAgain}
            </Button>
          )}
        </div>
      </form>
    </li>
  );
};

const Progress = ({ upload: { phase, bytes, file, firmware } }: { upload: Upload }) => {
  if (phase === 'ready' || phase === 'failed') return null;
  const share = file.size === 0 ? 1 : bytes / file.size;
  const word = firmware ? text.firmwareStatus[firmware.status] : text.upload.phases[phase];
  const isMeasured = phase === 'hashing' || phase === 'uploading';
  return (
    <p className="progress">
      <span role="status">{word}</span>
      {isMeasured && (
        <>
          <progress max={1} value={share} aria-label={text.upload.phases[phase]} />
          <span className="number">{formatWholeShare(share)}</span>
        </>
      )}
    </p>
  );
};

const LooksOdd = ({ upload: { hardware_type, look, file } }: { upload: Upload }) => {
  const api = useApi();
  const { data: last, isPending } = useQuery({
    queryKey: ['neighbour', hardware_type],
    queryFn: async () => (hardware_type === '' ? null : ((await findNeighbour(api, hardware_type)) ?? null)),
    staleTime: 60_000,
  });
  if (isPending) return null;
  const warning = findWarning(look, file.size, last ?? undefined);
  return warning ? (
    <p className="warning" role="status">
      {text.upload.warning(warning)}
    </p>
  ) : null;
};
