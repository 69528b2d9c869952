/**
 * The Perl modules of Proxmox VE that a notification goes through, as far as their sources say:
 * PVE/Notify.pm and PVE/Cluster.pm of pve-cluster 9.1.6, `render_template` and `Bus::send` of
 * proxmox-notify. Templates know `{{name}}` only. What is sent is a line of `sent.jsonl` beside.
 */

const NOTIFY = `package PVE::Notify;
use strict;
use warnings;
use JSON::PP;
my $root = __FILE__ =~ s{/lib/PVE/Notify.pm$}{}r;
sub common_template_data { return { hostname => 'pve1' } }
sub template {
  my ($name, $suffix, $data) = @_;
  open(my $in, '<', "$root/etc/pve/notification-templates/default/$name-$suffix") or return undef;
  my $text = do { local $/; <$in> };
  $text =~ s/\\{\\{\\s*([a-z-]+)\\s*\\}\\}/$data->{$1} \\/\\/ ''/ge;
  return $text;
}
# What fails at a target is logged, and told to no caller.
sub notify {
  my ($severity, $template, $data, $fields) = @_;
  die "unknown severity\\n" if $severity !~ /^(info|notice|warning|error|unknown)$/;
  my $subject = template($template, 'subject.txt.hbs', $data);
  my $body = template($template, 'body.txt.hbs', $data);
  my $why = -e "$root/broken-target" ? 'no such host'
    : defined($subject) && defined($body) ? undef
    : 'failed to render notification template, all template candidates are erroneous or missing';
  if (defined($why)) {
    print STDERR "could not notify via target \`mail-to-root\`: $why\\n";
    return;
  }
  $subject =~ s/\\n/ /g;
  open(my $out, '>>', "$root/sent.jsonl") or die "$!\\n";
  print {$out} JSON::PP->new->utf8->canonical->encode({
    severity => $severity, fields => $fields, subject => $subject, body => $body,
  }), "\\n";
}
1;
`;

const CLUSTER = `package PVE::Cluster;
sub cfs_update { my ($fail) = @_; return }
1;
`;

export const PVE_MODULES = { 'lib/PVE/Notify.pm': NOTIFY, 'lib/PVE/Cluster.pm': CLUSTER };
