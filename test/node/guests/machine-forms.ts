/** Forms of `/etc/pve/qemu-server/VMID.conf` as they are found on nodes. */

const DISKS = 'scsi0: local-lvm:vm-200-disk-0,iothread=1,size=32G\nscsihw: virtio-scsi-single\n';
const IDS =
  'smbios1: uuid=0a91b24c-1cff-4467-a1f4-d460dd5304fd\n' +
  'vmgenid: 19c02ab2-a615-41c3-a7c7-7fe8be12c4c0\n';
const NET = 'net0: virtio=BC:24:11:00:00:C8,bridge=vmbr0,firewall=1\n';

export const FORMS = {
  plain: `boot: order=scsi0;net0\ncores: 2\nmemory: 2048\nname: plain\n${NET}${DISKS}${IDS}sockets: 1\n`,
  'as recorded, of qm create': `boot: \ncores: 1\ncpu: qemu64\nkvm: 0\nmemory: 256\nname: vm1\nostype: l26\n${IDS}`,
  'nothing but a disk': `${DISKS}`,
  'EFI and TPM': `bios: ovmf\ncores: 4\ncpu: host\nefidisk0: local-lvm:vm-200-disk-1,efitype=4m,pre-enrolled-keys=1,size=4M\nmachine: pc-q35-8.1\nmemory: 8192\nname: win11\n${NET}${DISKS}${IDS}sockets: 2\ntpmstate0: local-lvm:vm-200-disk-2,size=4M,version=v2.0\n`,
  'cloud-init': `agent: 1\ncicustom: user=local:snippets/user.yml\nciuser: admin\ncores: 2\nide2: local-lvm:vm-200-cloudinit,media=cdrom\nipconfig0: ip=dhcp\nmemory: 1024\nname: cloud\n${NET}${DISKS}${IDS}sshkeys: ssh-ed25519%20AAAA\n\n[special:cloudinit]\ncores: 7\nmemory: 7777\nname: cloud-old\n`,
  'a description with a heading in it': `#%5BPENDING%5D\n#memory%3A 1\ncores: 2\nmemory: 4096\nname: described\n${NET}${DISKS}${IDS}`,
  'snapshots with other values': `cores: 2\nmemory: 2048\nname: snap\nparent: before\n${NET}${DISKS}${IDS}\n[before]\n#old\ncores: 8\nmemory: 512\nname: snap\nsnaptime: 1795890123\nvmstate: local-lvm:vm-200-state-before\n`,
  'pending values': `balloon: 200\ncores: 2\nmemory: 384\nname: vm1\n${DISKS}${IDS}sockets: 1\nvcpus: 1\n\n[PENDING]\naffinity: 0-1\ndelete: cpulimit,!net0\nmemory: 512\nsockets: 2\nvcpus: 2\n`,
  'smp of old': `memory: 1024\nname: old\nsmp: 2\ncores: 3\nide0: local:200/vm-200-disk-0.raw,size=8G\nnet0: e1000=00:11:22:33:44:55,bridge=vmbr0\n`,
  'memory by its long form': `cores: 2\nmemory: current=3072\nname: long\n${NET}${DISKS}${IDS}`,
  hugepages: `balloon: 0\ncores: 4\nhotplug: network,disk\nhugepages: 1024\nmemory: 16384\nname: huge\n${NET}numa: 1\n${DISKS}${IDS}`,
  'numa nodes by hand': `cores: 4\nhotplug: disk,network,usb,memory,cpu\nmemory: 8192\nname: numa\n${NET}numa: 1\nnuma0: cpus=0-1,hostnodes=0,memory=4096,policy=bind\nnuma1: cpus=2-3,hostnodes=1,memory=4096,policy=bind\n${DISKS}${IDS}sockets: 1\n`,
  'hotplug of all': `balloon: 2048\ncores: 8\nhotplug: disk,network,usb,memory,cpu\nmemory: 4096\nname: hot\n${NET}numa: 1\n${DISKS}${IDS}shares: 0\nsockets: 2\nvcpus: 4\n`,
  'hotplug 1': `cores: 2\nhotplug: 1\nmemory: 2048\nname: one\n${NET}${DISKS}${IDS}`,
  'hotplug 0': `cores: 2\nhotplug: 0\nmemory: 2048\nname: zero\n${NET}${DISKS}${IDS}`,
  'virtio-fs': `cores: 2\nhotplug: memory,cpu\nmemory: 2048\nname: shared\nnuma: 1\n${NET}${DISKS}${IDS}virtiofs0: dirid=data,cache=always\n`,
  passthrough: `cores: 6\nhostpci0: 0000:01:00,pcie=1,x-vga=1\nmemory: 16384\nname: gpu\n${NET}${DISKS}${IDS}shares: 0\n`,
  'auto-ballooning': `balloon: 1024\ncores: 2\nmemory: 8192\nname: auto\n${NET}${DISKS}${IDS}shares: 2000\n`,
  'a template': `cores: 1\nmemory: 1024\nname: golden\n${NET}scsi0: local-lvm:base-200-disk-0,size=8G\n${IDS}tags: prod;web\ntemplate: 1\n`,
  'locked by a backup': `cores: 1\nlock: backup\nmemory: 1024\nname: locked\n${NET}${DISKS}${IDS}protection: 1\n`,
  'suspended to disk': `cores: 1\nlock: suspended\nmemory: 1024\nname: asleep\n${NET}${DISKS}${IDS}vmstate: local-lvm:vm-200-state-suspend\n`,
  'a limit in fractions': `cores: 4\ncpulimit: 2.5\ncpuunits: 50\nmemory: 2048\nname: limited\n${NET}${DISKS}${IDS}`,
  'more vcpus than there are': `cores: 2\nmemory: 2048\nname: many\n${NET}${DISKS}${IDS}vcpus: 5\n`,
  'carriage returns, and no newline at the end':
    'cores: 2\r\nmemory: 2048\r\nname: dos\r\nscsi0: a:b',
} as const;

export type Form = keyof typeof FORMS;
