import { type ButtonHTMLAttributes, type ReactNode, useEffect, useId, useRef } from 'react';
import { useService } from '../api.ts';
import { text } from '../text.ts';

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & {
  kind?: 'primary' | 'danger' | 'plain';
  /** Without it in the token the service would refuse: the button says so instead of failing later. */
  scope?: string;
  /** Another reason why the service would refuse. */
  refusal?: string | undefined;
};

export const Button = ({ kind = 'plain', scope, refusal, className = '', children, ...others }: ButtonProps) => {
  const { scopes } = useService().session;
  const id = useId();
  const why = scope !== undefined && !scopes.has(scope) ? text.lacksScope(scope) : refusal;
  if (why === undefined)
    return (
      <button type="button" className={`${kind} ${className}`} {...others}>
        {children}
      </button>
    );
  return (
    <span className="lacking">
      <button type="button" className={`${kind} ${className}`} {...others} disabled aria-describedby={id}>
        {children}
      </button>
      <span className="small" id={id}>
        {why}
      </span>
    </span>
  );
};

/** A link that looks like a button; a caller who lacks the scope sees why it leads nowhere. */
export const ButtonLink = ({
  href,
  scope,
  kind = 'plain',
  children,
}: {
  href: string;
  scope?: string;
  kind?: 'primary' | 'plain';
  children: ReactNode;
}) => {
  const { scopes } = useService().session;
  if (scope !== undefined && !scopes.has(scope))
    return (
      <Button kind={kind} scope={scope}>
        {children}
      </Button>
    );
  return (
    <a className={`button ${kind}`} href={href}>
      {children}
    </a>
  );
};

export const Field = ({
  label,
  hint,
  error,
  children,
  className = '',
}: {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
  /** Gets the ids that tie it to its label and its hint. */
  children: (ids: { id: string; 'aria-describedby': string | undefined; 'aria-invalid': true | undefined }) => ReactNode;
  className?: string;
}) => {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ');
  return (
    <div className={`field ${className}`}>
      <label htmlFor={id}>{label}</label>
      {children({ id, 'aria-describedby': described || undefined, 'aria-invalid': error ? true : undefined })}
      {hint && (
        <span className="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
      {error && (
        <span className="wrong" id={`${id}-error`}>
          {error}
        </span>
      )}
    </div>
  );
};

export interface Option {
  value: string;
  label: string;
}

export const Select = ({
  label,
  value,
  options,
  onChange,
  any,
  hint,
  className,
}: {
  label: string;
  value: string;
  options: readonly Option[];
  onChange: (value: string) => void;
  /** What no choice is called; without it one has to be chosen. */
  any?: string;
  hint?: ReactNode;
  className?: string;
}) => (
  <Field label={label} {...(hint ? { hint } : {})} {...(className ? { className } : {})}>
    {(ids) => (
      <select {...ids} value={value} onChange={(event) => onChange(event.target.value)}>
        {any !== undefined && <option value="">{any}</option>}
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
    )}
  </Field>
);

/** A text that filters a list: taken a moment after the last key, so that not every letter is a request. */
export const SearchField = ({
  label,
  value,
  onChange,
  placeholder,
}: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  placeholder?: string;
}) => {
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    // Changed from elsewhere, by the browser's way back say; what is being typed is left alone.
    if (input.current && input.current !== document.activeElement) input.current.value = value;
  }, [value]);
  return (
    <Field label={label}>
      {(ids) => (
        <input
          {...ids}
          ref={input}
          type="search"
          defaultValue={value}
          placeholder={placeholder}
          onChange={({ target }) => {
            clearTimeout(timer.current);
            timer.current = setTimeout(() => onChange(target.value.trim()), 250);
          }}
        />
      )}
    </Field>
  );
};

/** Why something is asked for: as many characters as the API keeps. */
export const CommentField = ({
  value,
  onChange,
  error,
  className,
}: {
  value: string;
  onChange: (value: string) => void;
  error?: string | undefined;
  className?: string;
}) => (
  <Field label={text.updates.comment} error={error} {...(className ? { className } : {})}>
    {(ids) => <input {...ids} type="text" maxLength={1_000} value={value} onChange={(event) => onChange(event.target.value)} />}
  </Field>
);

export const NumberField = ({
  label,
  value,
  onChange,
  minimum,
  maximum,
  step = 1,
  hint,
  error,
  unit,
}: {
  label: string;
  /** As typed; empty: none. */
  value: string;
  onChange: (value: string) => void;
  minimum: number;
  maximum: number;
  step?: number | 'any';
  hint?: ReactNode;
  error?: string | undefined;
  unit?: string;
}) => (
  <Field label={label} error={error} {...(hint ? { hint } : {})}>
    {(ids) => (
      <span className="with-unit">
        <input
          {...ids}
          type="number"
          inputMode="decimal"
          {...{ min: minimum, max: maximum, step, value }}
          onChange={(event) => onChange(event.target.value)}
        />
        {unit && <span aria-hidden="true">{unit}</span>}
      </span>
    )}
  </Field>
);

export const TextField = ({
  label,
  hint,
  value,
  placeholder,
  onChange,
}: {
  label: string;
  hint?: string;
  value: string;
  placeholder?: string;
  onChange: (value: string) => void;
}) => (
  <Field label={label} {...(hint ? { hint } : {})}>
    {(ids) => <input {...ids} type="text" placeholder={placeholder} value={value} onChange={(event) => onChange(event.target.value)} />}
  </Field>
);
