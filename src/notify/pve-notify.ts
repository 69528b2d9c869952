import type { Severity } from '../core/notify/event.ts';
import { plainText } from '../core/plain-text.ts';
import { handOver } from '../os/hand-over.ts';
import type { Channel } from './channel.ts';

/**
 * A notification of Proxmox VE itself, with a type and a severity that its matchers know. Its API
 * sends none but tests; its Perl library does. It takes the name of a template, not a text, and
 * that of a template that is not there it only logs. So there is one of ours, which only has the
 * texts, in the directory that Proxmox VE has for those of administrators since 8.4.
 *
 * Source: PVE/Notify.pm of pve-cluster; `render_template` and `Bus::send` of proxmox-notify;
 * https://pve.proxmox.com/pve-docs/chapter-notifications.html
 */

const NAME = 'lxc-autoscale';

/** In HTML the text is taken, escaped, for both are without markup. */
const TEMPLATES = {
  [`${NAME}-subject.txt.hbs`]: '{{title}}',
  [`${NAME}-body.txt.hbs`]: '{{text}}',
};

/** Those of Proxmox VE: info, notice, warning, error, unknown. */
const SEVERITIES: Readonly<Record<Severity, string>> = {
  info: 'info',
  warning: 'warning',
  error: 'error',
};

/** What came of it at its targets it only logs. */
const UNSENT = /could not notify via target|failed to render/;

const SCRIPT = `
use strict;
use warnings;
use JSON::PP;
use File::Path;
my $in = decode_json(do { local $/; <STDIN> });
eval { require PVE::Cluster; require PVE::Notify; 1 }
  or die "this host has no notifications of Proxmox VE\\n";
PVE::Notify->can('common_template_data')
  or die "Proxmox VE has notifications of other programs since 8.4\\n";
PVE::Cluster::cfs_update(1);
for my $name (sort keys %{ $in->{templates} }) {
  my $path = "$in->{directory}/$name";
  next if -e $path;
  File::Path::make_path($in->{directory});
  open(my $out, '>', "$path.tmp.$$") or die "$path: $!\\n";
  print {$out} $in->{templates}{$name} or die "$path: $!\\n";
  close($out) or die "$path: $!\\n";
  rename("$path.tmp.$$", $path) or die "$path: $!\\n";
}
PVE::Notify::notify($in->{severity}, $in->{name}, $in->{data}, $in->{fields});
`;

/** @param directory of templates; those that are there already stay as they are */
export function pveNotify(
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
): Channel {
  return {
    name: 'proxmox',
    async send({ host, title, text, severity }, stop) {
      const asked = {
        name: NAME,
        directory,
        templates: TEMPLATES,
        severity: SEVERITIES[severity],
        data: { title: wellFormed(title), text: wellFormed(text), severity, hostname: host },
        fields: { type: NAME, hostname: host },
      };
      const handed = await handOver(PERL, JSON.stringify(asked), env, stop);
      const taken = 'handed over to the notifications of this node';
      // It may have told some targets already.
      if (!handed.ok && handed.isCutOff) {
        return { ok: true, said: taken, problem: `${plainText(handed.why, 200)}; ${UNSURE}` };
      }
      if (!handed.ok) return { ok: false, said: plainText(handed.why, 300), fault: 'passing' };
      // Some targets may have it: to send it again would tell those twice.
      if (!UNSENT.test(handed.said)) return { ok: true, said: taken };
      return { ok: true, said: taken, problem: plainText(handed.said, 300) };
    },
  };
}

const UNSURE = 'some targets may not have it';

/** Half a character, where a text was cut, is none that Perl reads. */
const wellFormed = (text: string): string => Buffer.from(text).toString();

const PERL = { file: 'perl', args: ['-e', SCRIPT], whereFrom: 'it is a part of Proxmox VE' };
