/**
 * Files of the tools that this program takes over from, as their documentation has them and as
 * their owners would: with their own guests, hosts and secrets. Comments are left out.
 */

/** In every file where it stands in clear, so that a test sees it wherever it comes out. */
export const HUSH = 'hunter2-8c07-4c7a';

export const API_MINIMAL = `proxmox:
  host: "192.0.2.90"
  user: "root@pam"
  token_name: "lxc_autoscaler"
  token_value: "${HUSH}"

containers:
  - vmid: 101
    enabled: true
  - vmid: 102
    enabled: true
`;

export const API_WHOLE = `proxmox:
  host: "192.0.2.90"
  port: 8006
  user: "root@pam"
  token_name: "lxc_autoscaler"
  token_value: "${HUSH}"
  password: "${HUSH}"
  verify_ssl: true
  timeout: 30

containers:
  - vmid: 101
    enabled: true
    thresholds:
      cpu_scale_up: 80.0
      cpu_scale_down: 30.0
      memory_scale_up: 85.0
      memory_scale_down: 40.0
    limits:
      min_cpu_cores: 1
      max_cpu_cores: 6
      min_memory_mb: 512
      max_memory_mb: 8192
      cpu_step: 1
      memory_step_mb: 512
    cooldown_seconds: 300
    evaluation_periods: 3
  - vmid: 103
    enabled: false

global:
  monitoring_interval: 60
  log_level: "INFO"
  enable_dry_run: false

safety:
  max_concurrent_operations: 3
  max_cpu_usage_threshold: 95.0
  max_memory_usage_threshold: 90.0
  emergency_scale_down_threshold: 98.0
  enable_host_protection: true
`;

const MACHINES_REST = `
scaling_thresholds:
  cpu:
    high: 80
    low: 20
  ram:
    high: 85
    low: 25

scaling_limits:
  min_cores: 1
  max_cores: 8
  min_ram_mb: 1024
  max_ram_mb: 16384
`;

export const MACHINES_TOKEN = `proxmox_hosts:
  - name: proxmox-01
    host: 192.0.2.10
    api_port: 8006
    api_token_id: $\{PROXMOX_HOST1_API_TOKEN_ID}
    api_token_secret: $\{PROXMOX_HOST1_API_TOKEN_SECRET}
    verify_ssl: true
    node_name: pve
    auto_discover_nodes: false

virtual_machines:
  - vm_id: 201
    proxmox_host: proxmox-01
    scaling_enabled: true
    cpu_scaling: true
    ram_scaling: true
${MACHINES_REST}`;

export const MACHINES_ENV = `PROXMOX_HOST1_API_TOKEN_ID=root@pam!autoscaler
PROXMOX_HOST1_API_TOKEN_SECRET=${HUSH}
`;

export const MACHINES_WHOLE = `${MACHINES_REST}
check_interval: 120
scale_cooldown: 240

proxmox_hosts:
  - name: host1
    host: 192.0.2.10
    api_port: 8006
    api_username: root@pam
    api_password: $\{PROXMOX_HOST1_API_PASSWORD}
    verify_ssl: true
    ca_cert_path: /etc/ssl/own-ca.crt
    node_name: pve1
    auto_discover_nodes: false
    timeout: 30
    max_retries: 3
  - name: my_cluster
    host: 192.0.2.20
    api_username: root@pam
    api_password: ${HUSH}
    verify_ssl: false
    auto_discover_nodes: true
  - name: unused
    host: 192.0.2.30
    api_username: root@pam
    api_password: ${HUSH}

virtual_machines:
  - vm_id: 201
    proxmox_host: host1
    scaling_enabled: true
    cpu_scaling: true
    ram_scaling: true
  - vm_id: 202
    proxmox_host: my_cluster
    scaling_enabled: true
    cpu_scaling: true
    ram_scaling: false
  - vm_id: 203
    proxmox_host: host1
    scaling_enabled: false

logging:
  level: CRITICAL
  log_file: /var/log/vm_autoscale_api.log

alerts:
  email_enabled: true
  email_recipient: admin@example.com
  smtp_server: smtp.example.com
  smtp_port: 587
  smtp_user: mailer
  smtp_password: $\{SMTP_PASSWORD}

gotify:
  enabled: true
  server_url: https://gotify.example.com
  app_token: ${HUSH}
  priority: 5

host_limits:
  max_host_cpu_percent: 90
  max_host_ram_percent: 85
`;

export const MACHINES_SSH = `${MACHINES_REST}
check_interval: 60
proxmox_hosts:
  - name: host1
    host: 192.0.2.10
    ssh_port: 22
    ssh_user: root
    ssh_password: ${HUSH}
    ssh_key: /etc/keys/id_rsa
virtual_machines:
  - vm_id: 201
    proxmox_host: host1
    scaling_enabled: true
    cpu_scaling: true
    ram_scaling: true
logging:
  level: INFO
  log_file: /var/log/vm_autoscale.log
alerts:
  email_enabled: false
gotify:
  enabled: false
`;

export const PYTHON_HERE = `DEFAULTS:
  use_proxmox_api: true
  proxmox_api_host: localhost
  proxmox_api_user: root@pam
  proxmox_api_token_name: your_token
  proxmox_api_token_value: ${HUSH}
  proxmox_api_verify_ssl: true
  proxmox_api_timeout: 30
`;

export const PYTHON_BASIC = `DEFAULTS:
  use_proxmox_api: true
  proxmox_api_host: "192.0.2.100"
  proxmox_api_user: "root@pam"
  proxmox_api_token_name: "autoscale"
  proxmox_api_token_value: "${HUSH}"
`;

export const PYTHON_ADVANCED = `DEFAULTS:
  use_proxmox_api: true
  proxmox_api_host: "pve.example.com"
  proxmox_api_user: "autoscale@pve"
  proxmox_api_token_name: "autoscale-token"
  proxmox_api_token_value: "${HUSH}"
  proxmox_api_verify_ssl: true
  proxmox_api_timeout: 60
  proxmox_node: "pve-node1"
  use_remote_proxmox: false
  ssh_port: 22
  ignore_lxc: [104]

TIER_web:
  lxc_containers: [101, 102]
  min_cores: 2

HORIZONTAL_SCALING_GROUP_1:
  base_snapshot_name: "101"
  lxc_containers: [101]
`;

export const PYTHON_SSH = `DEFAULT:
  poll_interval: 60
  ignore_lxc: [104]
  use_remote_proxmox: true
  proxmox_host: pve3.example.com
  ssh_user: root
  ssh_password: ${HUSH}
  ssh_port: 2222
  ssh_key_path: /etc/keys/id_ed25519
`;
