import type { HealthReport } from '../core/report/health.ts';
import { Icon } from './icons.tsx';
import { AskedView } from './state-notes.tsx';
import type { Asked } from './use-answer.ts';

/** Whether the daemon does its work, check by check. */
export const HealthView = ({ health }: { readonly health: Asked<HealthReport> }) => (
  <section aria-labelledby="health-title">
    <h1 id="health-title">Health</h1>
    <AskedView asked={health} what="Asking for the checks">
      {({ checks }) => (
        <ul class="card checks">
          {checks.map(({ name, ok, says }) => (
            <li key={name} class={ok ? 'good' : 'bad'}>
              <Icon name={ok ? 'check' : 'alert'} />
              <strong>{name}</strong>
              <span class="unseen">{ok ? 'passes: ' : 'fails: '}</span>
              <span class="check-says">{says}</span>
            </li>
          ))}
        </ul>
      )}
    </AskedView>
  </section>
);
