import { type ReactNode, useEffect, useRef } from 'react';
import { text } from '../text.ts';

/** The frame of a page: its title is the tab's, and where a screen reader begins after a change of pages. */
export const Page = ({
  title,
  tabTitle = title,
  actions,
  lead,
  children,
}: {
  title: string;
  tabTitle?: string;
  actions?: ReactNode;
  lead?: ReactNode;
  children: ReactNode;
}) => {
  useEffect(() => {
    document.title = `${tabTitle} · ${text.product}`;
  }, [tabTitle]);
  return (
    <>
      <header className="page-head">
        <div>
          <h1>{title}</h1>
          {lead && <p className="lead">{lead}</p>}
        </div>
        {actions && <div className="actions">{actions}</div>}
      </header>
      {children}
    </>
  );
};

export const Section = ({
  title,
  aside,
  children,
  className = '',
}: {
  title: string;
  aside?: ReactNode;
  children: ReactNode;
  className?: string;
}) => (
  <section className={`section ${className}`} aria-label={title}>
    <header className="section-head">
      <h2>{title}</h2>
      {aside && <div className="aside">{aside}</div>}
    </header>
    {children}
  </section>
);

/** Names and values, one below the other. */
export const Facts = ({ items }: { items: readonly (readonly [name: string, value: ReactNode])[] }) => (
  <dl className="facts">
    {items
      .filter(([, value]) => value !== null && value !== undefined && value !== '' && value !== false)
      .map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
  </dl>
);

/** The focus goes to the page's content after a change of pages, and nowhere at first. */
export const useFocusOnChange = (place: string) => {
  const element = useRef<HTMLElement>(null);
  const last = useRef(place);
  useEffect(() => {
    if (last.current !== place) element.current?.focus({ preventScroll: true });
    if (last.current !== place) scrollTo(0, 0);
    last.current = place;
  }, [place]);
  return element;
};
