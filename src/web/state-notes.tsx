import type { ComponentChildren } from 'preact';
import type { Problem } from './api.ts';
import { Icon } from './icons.tsx';
import type { Asked } from './use-answer.ts';

/** What stands where there is nothing to show yet, or nothing at all. */

export const Loading = ({ what }: { readonly what: string }) => (
  <p class="state" role="status">
    <span class="spinner" aria-hidden="true" /> {what} …
  </p>
);

export const Empty = ({ children }: { readonly children: ComponentChildren }) => (
  <p class="state muted">{children}</p>
);

export const Trouble = ({ problem }: { readonly problem: Problem }) => (
  <p class="state bad" role="alert">
    <Icon name="alert" /> {problem.says}
  </p>
);

interface AskedViewProps<T> {
  readonly asked: Asked<T>;
  readonly what: string;
  readonly children: (value: T) => ComponentChildren;
}

/** That the daemon is away is said by the header, for all that is shown. */
export const isRefused = ({ problem }: Asked<unknown>): boolean => problem?.kind === 'refused';

/** What was asked for, even if it is old by now, and why; or why it is not there. */
export function AskedView<T>({ asked, what, children }: AskedViewProps<T>) {
  const { value, problem } = asked;
  if (value !== undefined) {
    return (
      <>
        {problem?.kind === 'refused' && <Trouble problem={problem} />}
        {children(value)}
      </>
    );
  }
  return problem === undefined ? <Loading what={what} /> : <Trouble problem={problem} />;
}
