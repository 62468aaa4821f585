// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/test/cluster/build"
	"github.com/bulkhead-cni/bulkhead/test/cluster/containerd/process"
	"github.com/bulkhead-cni/bulkhead/test/cluster/service"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// Places of a Linux node, most of which are its programs' defaults.
const (
	linuxSocket  = "/run/containerd/containerd.sock" // shims have theirs in this folder, too
	linuxConfDir = "/run/cni/conf"
	linuxMirrors = "/run/certs.d"
	linuxTunes   = "/run/sysctl"
)

// taint keeps pods off that do not ask for Linux, so that a manifest without a node selector
// means a Windows node. Kubernetes' tests for Windows know Linux nodes with this one: those
// that upstream runs them beside are control planes' (kubernetes, test/e2e/framework,
// --non-blocking-taints).
const taint = "node-role.kubernetes.io/control-plane"

// tunables are what kubelet sets in the kernel (kubernetes, pkg/kubelet/cm/container_manager_linux.go,
// setupKernelTunables). The node sees them as they are to be, and this machine's stay.
var tunables = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}

// installLinux makes the folders of a Linux node, which are empty after each boot.
func (a *Agent) installLinux() error {
	for i, dir := range spec.LinuxFolders {
		own := a.in("root", fmt.Sprint(i)) // on a disk, whose size kubelet asks for
		if err := os.RemoveAll(own); err != nil {
			return err
		}
		if err := os.MkdirAll(own, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(own, dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	hosts := filepath.Join(linuxMirrors, "_default")
	for _, dir := range []string{linuxConfDir, hosts, linuxTunes} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	mtu := 1500
	if a.Cluster.Overlay() {
		mtu -= 50 // what VXLAN adds
	}
	conflist, err := linuxConflist(a.Node.Subnets, mtu)
	if err != nil {
		return err
	}
	for file, text := range map[string]string{
		filepath.Join(linuxConfDir, spec.ConfName): conflist,
		filepath.Join(hosts, "hosts.toml"):         fmt.Sprintf(mirrors, spec.AgentPort),
		a.in("containerd.toml"):                    linuxContainerd(a.Cluster),
		a.in("kubelet.yaml"):                       kubeletConfig + linuxKubelet,
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for name, value := range tunables {
		file := filepath.Join(linuxTunes, strings.ReplaceAll(name, "/", "."))
		if err := os.WriteFile(file, []byte(value+"\n"), 0o444); err != nil {
			return err
		}
		if err := unix.Mount(file, "/proc/sys/"+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("show %s: %w", name, err)
		}
	}
	return nil
}

// linuxConflist is a network of a Linux node: each pod has a link of its own to the node, which
// routes.
func linuxConflist(subnets []netip.Prefix, mtu int) (string, error) {
	type object = map[string]any
	var ranges [][]object
	var routes []object
	for _, p := range subnets {
		ranges = append(ranges, []object{{"subnet": p.String()}})
		routes = append(routes, object{"dst": netip.PrefixFrom(p.Addr(), 0).Masked().String()})
	}
	text, err := json.MarshalIndent(object{
		"cniVersion": "1.1.0", "name": "pods",
		"plugins": []object{{"type": "ptp", "mtu": mtu, "ipam": object{"type": "host-local", "dataDir": "/run/cni/networks", "ranges": ranges, "routes": routes}}},
	}, "", "  ")
	return string(text), err
}

// bootLinux starts the machine's programs in the order in which they need each other.
func (a *Agent) bootLinux(ctx context.Context) error {
	containerd, err := a.native("containerd", "-c", a.in("containerd.toml"))
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.containerd = containerd
	a.mu.Unlock()
	if err := listens(ctx, "unix", linuxSocket); err != nil {
		return fmt.Errorf("containerd: %w", err)
	}
	kubeconfig := "--kubeconfig=" + a.Cluster.In("control", "kubeconfig")
	name, level := "--hostname-override="+a.Node.Name, a.level()
	kubelet, err := a.native("kubelet", "--config="+a.in("kubelet.yaml"), kubeconfig, name, "--node-ip="+a.addresses(), level)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.kubelet = kubelet
	a.mu.Unlock()
	// Connection tracking as this machine's kernel has it: its limits are not the node's own.
	_, err = a.native("kube-proxy", kubeconfig, name, "--proxy-mode=nftables", "--bind-address="+a.Node.Address().String(),
		"--healthz-bind-address=127.0.0.1:10256", "--metrics-bind-address=127.0.0.1:10249", "--cluster-cidr=10.0.0.0/8",
		"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0", level)
	return err
}

// native starts a Linux program that is kept running.
func (a *Agent) native(name string, args ...string) (*service.Service, error) {
	return service.Start(service.Program{
		Name: name, Args: append([]string{a.Cluster.Program(name)}, args...), Log: a.log(name), Dir: "/",
		Env: []string{fmt.Sprintf("%s=127.0.0.1:%d", process.AddrVar, spec.RunnerPort)},
	})
}

// linuxContainerd is containerd's configuration. Images are pulled from the node's registry
// when a pod needs them, and the shim is found beside containerd by the runtime's name.
func linuxContainerd(c spec.Cluster) string {
	return fmt.Sprintf(`version = 4
imports = []
[plugins.'io.containerd.internal.v1.opt']
  path = '/run/opt'
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '%s'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '%s'
[plugins.'io.containerd.cri.v1.runtime']
  netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['%s']
  conf_dir = '%s'
  use_internal_loopback = true
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = 'bulkhead'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.bulkhead]
  runtime_type = 'io.containerd.bulkhead.v1'
`, linuxMirrors, build.SandboxImage, c.Programs, linuxConfDir)
}

// linuxKubelet is what a Linux node's has beside the rest of its configuration. It leaves this
// machine's cgroups and rules alone.
const linuxKubelet = `containerRuntimeEndpoint: unix://` + linuxSocket + `
volumePluginDir: /run/volume-plugins
registerWithTaints: [{key: ` + taint + `, effect: NoSchedule}]
cgroupsPerQOS: false
cgroupDriver: cgroupfs
failCgroupV1: false
makeIPTablesUtilChains: false
`
