import { Fragment, type ReactNode } from "react";

/** Facts with their names; what is null is left out. */
export function Facts({ of }: { of: Record<string, ReactNode> }) {
  const known = Object.entries(of).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  return (
    <dl className="facts">
      {known.map(([name, value]) => (
        <Fragment key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </Fragment>
      ))}
    </dl>
  );
}
