import { useState } from 'preact/hooks';
import type { ContainerRow } from '../core/report/status.ts';
import { ActionDialog } from './action-dialog.tsx';
import type { ActingProps } from './guest-actions.tsx';
import { Icon } from './icons.tsx';

/** Which tiers act and which only observe, and the switch for an admin. */

interface Tier {
  /** undefined: everything. */
  readonly name: string | undefined;
  readonly rows: readonly ContainerRow[];
}

/** Everything first, then each tier that a guest is in. DEFAULT is switched with everything. */
function tiersOf(rows: readonly ContainerRow[]): readonly Tier[] {
  const managed = rows.filter(({ policy }) => policy !== null);
  const names = new Set(managed.map(({ policy }) => policy ?? ''));
  const tiers = [...names].filter((name) => name.startsWith('TIER_')).sort();
  return [
    { name: undefined, rows: managed },
    ...tiers.map((name) => ({ name, rows: managed.filter(({ policy }) => policy === name) })),
  ];
}

interface Choice {
  readonly mode: 'active' | 'observe';
  readonly tier: string | undefined;
}

export function ModeView({
  rows,
  ...acting
}: ActingProps & { readonly rows: readonly ContainerRow[] }) {
  const [choice, setChoice] = useState<Choice>();
  return (
    <section aria-labelledby="mode-title">
      <h1 id="mode-title">Mode</h1>
      <p class="lead">
        What is only observed is decided on and never changed. A switch edits the configuration,
        keeps a copy of it, and has it read again.
        {acting.role !== 'admin' && ' It needs the role admin.'}
      </p>
      <section class="card">
        <table>
          <thead>
            <tr>
              <th scope="col">Tier</th>
              <th scope="col" class="col-why">
                Guests
              </th>
              <th scope="col" class="col-why">
                Observed
              </th>
              <th scope="col">Would change</th>
              {acting.role === 'admin' && <th scope="col">Switch</th>}
            </tr>
          </thead>
          <tbody>
            {tiersOf(rows).map((tier) => (
              <TierRow
                key={tier.name ?? ''}
                tier={tier}
                onChoice={acting.role === 'admin' ? setChoice : undefined}
              />
            ))}
          </tbody>
        </table>
      </section>
      {choice !== undefined && (
        <ActionDialog
          {...acting}
          title={`Make ${choice.tier ?? 'everything'} ${MODE_WORDS[choice.mode]}`}
          verb={choice.mode === 'active' ? 'Activate' : 'Observe'}
          wish={{ path: 'config/mode', body: choice }}
          onClose={() => setChoice(undefined)}
        />
      )}
    </section>
  );
}

const MODE_WORDS = { active: 'active', observe: 'observed only' } as const;

interface TierRowProps {
  readonly tier: Tier;
  readonly onChoice: ((choice: Choice) => void) | undefined;
}

function TierRow({ tier: { name, rows }, onChoice }: TierRowProps) {
  const observed = rows.filter(({ mode }) => mode === 'observe').length;
  const would = rows.filter((row) => row.would !== null).length;
  const label = name ?? 'everything';
  return (
    <tr>
      <th scope="row">{name ?? 'Everything'}</th>
      <td class="number col-why">{rows.length}</td>
      <td class="number col-why">{observed}</td>
      <td class="number">{would}</td>
      {onChoice !== undefined && (
        <td>
          <div class="actions">
            {observed > 0 && (
              <button type="button" onClick={() => onChoice({ mode: 'active', tier: name })}>
                <Icon name="bolt" /> Activate<span class="unseen"> {label}</span>
              </button>
            )}
            {observed < rows.length && (
              <button type="button" onClick={() => onChoice({ mode: 'observe', tier: name })}>
                <Icon name="eye" /> Observe<span class="unseen"> {label}</span>
              </button>
            )}
          </div>
        </td>
      )}
    </tr>
  );
}
