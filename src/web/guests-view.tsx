import { useState } from 'preact/hooks';
import type { ContainerRow } from '../core/report/status.ts';
import { CHIPS, chipOf, matches } from './guest-rows.ts';
import { GuestTable } from './guest-table.tsx';
import { SearchField } from './search-field.tsx';
import type { Sparks } from './sparkline.tsx';
import { Empty } from './state-notes.tsx';

export interface GuestsViewProps {
  readonly rows: readonly ContainerRow[];
  readonly today: string;
  readonly sparks: Sparks | undefined;
}

export function GuestsView({ rows, today, sparks }: GuestsViewProps) {
  const [search, setSearch] = useState('');
  const [chip, setChip] = useState('all');
  const found = rows.filter((row) => matches(row, search));
  const shown = found.filter(chipOf(chip).takes);
  return (
    <section aria-labelledby="guests-title">
      <h1 id="guests-title" class="unseen">
        Guests
      </h1>
      <div class="toolbar">
        <SearchField label="Search guests" value={search} onInput={setSearch} />
        <fieldset class="chips">
          <legend class="unseen">Show only</legend>
          {CHIPS.map(({ key, label, takes }) => {
            const count = found.filter(takes).length;
            return (
              <button
                key={key}
                type="button"
                aria-pressed={chip === key}
                disabled={count === 0 && chip !== key}
                onClick={() => setChip(key)}
              >
                {label} <span class="count number">{count}</span>
              </button>
            );
          })}
        </fieldset>
        <p class="legend" aria-hidden="true">
          <span class="legend-used" /> used <span class="legend-need" /> need{' '}
          <span class="legend-limit" /> limit
        </p>
      </div>
      {rows.length === 0 && <Empty>There are no guests on this node.</Empty>}
      {rows.length > 0 && shown.length === 0 && <Empty>No guest fits the search and filter.</Empty>}
      {shown.length > 0 && <GuestTable rows={shown} today={today} sparks={sparks} />}
    </section>
  );
}
