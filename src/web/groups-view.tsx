import type { GroupReport, MemberReport } from '../core/groups/group-report.ts';
import { spanWords } from './amounts.ts';
import type { Api } from './api.ts';
import { Icon } from './icons.tsx';
import { hrefOf } from './route.ts';
import { AskedView, Empty } from './state-notes.tsx';
import { useAnswer } from './use-answer.ts';

/** Groups of clones: where each stands, and who is in it. */

export function GroupsView({ api, version }: { readonly api: Api; readonly version: number }) {
  const asked = useAnswer<{ readonly groups: readonly GroupReport[] }>(api, 'groups', version);
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
            groups.map((group) => <GroupCard key={group.label} group={group} />)
          )
        }
      </AskedView>
    </section>
  );
}

function GroupCard({ group }: { readonly group: GroupReport }) {
  const { label, source, wanted, inService, min, max, standing, members } = group;
  return (
    <section class="card" aria-label={`Group ${label}`}>
      <header class="card-head">
        <h2>{label}</h2>
        <span class="muted">
          clones of <a href={hrefOf({ view: 'guest', vmid: source })}>{source}</a>
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
      {members.length > 0 && <Members members={members} />}
    </section>
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

const Members = ({ members }: { readonly members: readonly MemberReport[] }) => (
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
            <a href={hrefOf({ view: 'guest', vmid })}>
              <span class="muted number">{vmid}</span> {name}
            </a>
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
