import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { GroupReport, MemberReport } from '../core/groups/group-report.ts';
import { ActionDialog } from './action-dialog.tsx';
import { spanWords } from './amounts.ts';
import type { ActingProps } from './guest-actions.tsx';
import { Icon } from './icons.tsx';
import { hrefOf } from './route.ts';
import { AskedView, Empty } from './state-notes.tsx';
import { useAnswer } from './use-answer.ts';

/** Groups of clones: where each stands, and who is in it. */

export function GroupsView({ version, ...acting }: ActingProps & { readonly version: number }) {
  const asked = useAnswer<{ readonly groups: readonly GroupReport[] }>(
    acting.api,
    'groups',
    version,
  );
  return (
    <section aria-labelledby="groups-title">
      <h1 id="groups-title">Groups</h1>
      <AskedView asked={asked} what="Reading the groups">
        {({ groups }) =>
          groups.length === 0 ? (
            <Empty>
              No group is configured. A section HORIZONTAL_SCALING_GROUP_NAME makes one.
            </Empty>
          ) : (
            groups.map((group) => <GroupCard key={group.label} group={group} {...acting} />)
          )
        }
      </AskedView>
    </section>
  );
}

function GroupCard({ group, ...acting }: ActingProps & { readonly group: GroupReport }) {
  const { label, node, source, wanted, inService, min, max, standing, members } = group;
  return (
    <section class="card" aria-label={`Group ${label}`}>
      <header class="card-head">
        <h2>{label}</h2>
        <span class="muted">
          clones of{' '}
          <GuestLink vmid={source} isHere={node === undefined}>
            {source}
          </GuestLink>
          {node !== undefined && ` on ${node}`}
        </span>
      </header>
      <p>
        <strong class="number">{inService}</strong> in service
        {wanted !== null && (
          <>
            , <strong class="number">{wanted}</strong> wanted
          </>
        )}
        <span class="muted">
          {' '}
          ({min} to {max}; scale-in {group.scaleIn})
        </span>
      </p>
      <p>{standing}.</p>
      <Notes group={group} />
      <GroupActions group={group} {...acting} />
      {members.length > 0 && <Members members={members} isHere={node === undefined} />}
    </section>
  );
}

/** The way of a step, as the API names it. */
const WAYS = {
  'scale-out': { label: 'One more', icon: 'up', says: 'It is made as for want of it.' },
  'scale-in': {
    label: 'One less',
    icon: 'down',
    says: 'The newest that the group has made itself goes, if the others can carry its load.',
  },
} as const;

type Way = keyof typeof WAYS;

function GroupActions({ group, ...acting }: ActingProps & { readonly group: GroupReport }) {
  const [way, setWay] = useState<Way>();
  if (acting.role === 'read') return null;
  const { label } = group;
  return (
    <div class="actions">
      {Object.entries(WAYS).map(([one, { label: words, icon }]) => (
        <button key={one} type="button" onClick={() => setWay(one as Way)}>
          <Icon name={icon} /> {words}
          <span class="unseen"> member of {label}</span>
        </button>
      ))}
      {way !== undefined && (
        <ActionDialog
          {...acting}
          title={`${WAYS[way].label} in ${label}`}
          verb={WAYS[way].label}
          wish={{ path: `groups/${label}/${way}`, body: {} }}
          onClose={() => setWay(undefined)}
        >
          <p>{WAYS[way].says}</p>
        </ActionDialog>
      )}
    </div>
  );
}

const Notes = ({ group: { underWay, notes, failures } }: { readonly group: GroupReport }) => (
  <ul class="notes">
    {underWay.map((words) => (
      <li key={words}>Under way: {words}</li>
    ))}
    {notes.map((words) => (
      <li key={words}>{words}</li>
    ))}
    {failures.map(({ what, count, retryInS, message }) => (
      <li key={what} class="bad">
        <Icon name="alert" /> {what} failed {timesWords(count)}, next try in{' '}
        {spanWords(retryInS * 1000)}
        {message === '' ? '' : `: ${message}`}
      </li>
    ))}
  </ul>
);

const timesWords = (count: number): string => (count === 1 ? 'once' : `${count} times`);

const percent = (value: number | null): string => (value === null ? '–' : `${value} %`);

interface MembersProps {
  readonly members: readonly MemberReport[];
  readonly isHere: boolean;
}

interface GuestLinkProps {
  readonly vmid: number;
  readonly isHere: boolean;
  readonly children: ComponentChildren;
}

/** The guests of the page are those of the first node: one of another has no view of its own. */
const GuestLink = ({ vmid, isHere, children }: GuestLinkProps) =>
  isHere ? <a href={hrefOf({ view: 'guest', vmid })}>{children}</a> : <span>{children}</span>;

const Members = ({ members, isHere }: MembersProps) => (
  <table class="members">
    <thead>
      <tr>
        <th scope="col">Member</th>
        <th scope="col">Role</th>
        <th scope="col">Address</th>
        <th scope="col">CPU</th>
        <th scope="col">Memory</th>
        <th scope="col" class="col-why">
          Note
        </th>
      </tr>
    </thead>
    <tbody>
      {members.map(({ vmid, name, role, address, cpuPercent, memoryPercent, says }) => (
        <tr key={vmid}>
          <th scope="row">
            <GuestLink vmid={vmid} isHere={isHere}>
              <span class="muted number">{vmid}</span> {name}
            </GuestLink>
          </th>
          <td>{role}</td>
          <td class="number">{address ?? '–'}</td>
          <td class="number">{percent(cpuPercent)}</td>
          <td class="number">{percent(memoryPercent)}</td>
          <td class="col-why">{says}</td>
        </tr>
      ))}
    </tbody>
  </table>
);
