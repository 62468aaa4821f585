// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/cluster/build"
	"github.com/bulkhead-cni/bulkhead/test/cluster/service"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// bootTime is what a machine may take to boot: a busy one takes minutes.
const bootTime = 10 * time.Minute

// hyperVConfDir is the folder of drive C for the conflist of the Hyper-V runtime class.
const hyperVConfDir = "Program Files/containerd/cni/conf-hyperv"

// mirrorsDir is the folder of drive C that tells containerd that the node's own registry is
// every other one's mirror.
const mirrorsDir = "Program Files/containerd/certs.d"

const mirrors = `server = "http://127.0.0.1:%[1]d"
[host."http://127.0.0.1:%[1]d"]
  capabilities = ["pull", "resolve"]
`

// install puts onto drive C what the node begins with: the emulator's DLLs, CNI plugins
// and conflists. What is there stays.
func (a *Agent) install() error {
	for _, dir := range []string{a.in("prefix"), a.in("upper"), a.in("work"), a.in("tmp")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := a.mount(); err != nil {
		return err
	}
	drive := a.Cluster.Drive(a.Node)
	dlls, err := filepath.Glob(a.Cluster.Program("dll/*.dll"))
	if err != nil {
		return err
	}
	for _, path := range dlls {
		if err := build.CopyFile(path, filepath.Join(drive, "windows/system32", filepath.Base(path)), 0o644); err != nil {
			return err
		}
	}
	if _, err := os.Stat(a.in("installed")); err == nil {
		return nil
	}
	hosts := filepath.Join(mirrorsDir, "_default")
	for _, dir := range []string{spec.BinDir, spec.ConfDir, hyperVConfDir, hosts} {
		if err := os.MkdirAll(filepath.Join(drive, dir), 0o755); err != nil {
			return err
		}
	}
	for name, path := range a.Node.Plugins {
		if err := build.CopyFile(path, filepath.Join(drive, spec.BinDir, name), 0o755); err != nil {
			return err
		}
	}
	for file, text := range map[string]string{
		filepath.Join(spec.ConfDir, spec.ConfName):  a.Node.Conf,
		filepath.Join(hyperVConfDir, spec.ConfName): a.Node.HyperVConf,
		filepath.Join(hosts, "hosts.toml"):          fmt.Sprintf(mirrors, spec.AgentPort),
	} {
		if err := os.WriteFile(filepath.Join(drive, file), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(a.in("containerd.toml"), []byte(a.containerdConfig()), 0o644)
}

// boot starts the machine's programs in the order in which they need each other.
func (a *Agent) boot(ctx context.Context) error {
	if err := a.startWine(ctx); err != nil {
		return err
	}
	if err := a.startContainerd(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(a.in("installed"), nil, 0o644); err != nil {
		return err
	}
	return a.startKubelet()
}

// startWine starts the server that keeps the prefix up, and tells the registry which
// Windows this is.
func (a *Agent) startWine(ctx context.Context) error {
	server := service.Program{
		Name: "wineserver", Args: []string{a.lookup("WINESERVER"), "-f", "-p"}, Env: a.env(), Log: a.log("wine"), Dir: "/",
	}
	if _, err := service.Start(server); err != nil {
		return err
	}
	if err := a.wineUp(ctx, server); err != nil {
		return err
	}
	file := a.in("node.reg")
	text, err := windowsKeys(a.Node.Profile)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "\n", "\r\n")), 0o644); err != nil {
		return err
	}
	// Wine's own programs want its own combase.
	env := a.env()
	for i, v := range env {
		if strings.HasPrefix(v, "WINEDLLOVERRIDES=") {
			env[i] = v + ";combase=b"
		}
	}
	return a.once(ctx, "wine", env, "reg.exe", "import", wine.WindowsPath(file))
}

// wineUp waits until the prefix has its server. A program that does not find it starts one
// that ends with the program, and takes this one's place.
func (a *Agent) wineUp(ctx context.Context, server service.Program) error {
	for {
		probe := exec.CommandContext(ctx, server.Args[0], "-k0") // no signal
		probe.Env = append(os.Environ(), server.Env...)
		if probe.Run() == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wineserver does not run (%w); see %s", ctx.Err(), server.Log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (a *Agent) startContainerd(ctx context.Context) error {
	containerd, err := a.program("containerd", nil, "containerd.exe", "-c", wine.WindowsPath(a.in("containerd.toml")))
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.containerd = containerd
	a.mu.Unlock()
	if err := listens(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", spec.CRIPort)); err != nil {
		return fmt.Errorf("containerd.exe: %w", err)
	}
	if _, err := os.Stat(a.in("installed")); err == nil {
		return nil // the images are there
	}
	return a.once(ctx, "images", a.env(), a.Cluster.Program("ctr.exe"), "-n", "k8s.io", "images", "import",
		"--platform", "windows/amd64", wine.WindowsPath(build.Images(a.Cluster.Programs)))
}

func (a *Agent) startKubelet() error {
	if err := os.WriteFile(a.in("kubelet.yaml"), []byte(kubeletConfig+windowsKubelet), 0o644); err != nil {
		return err
	}
	kubeconfig := wine.WindowsPath(a.Cluster.In("control", "kubeconfig"))
	address, level := a.Node.Address().String(), a.level()
	kubelet, err := a.program("kubelet", nil, "kubelet.exe",
		"--config="+wine.WindowsPath(a.in("kubelet.yaml")), "--kubeconfig="+kubeconfig, "--hostname-override="+a.Node.Name,
		"--node-ip="+a.addresses(), `--root-dir=C:\var\lib\kubelet`, `--cert-dir=C:\var\lib\kubelet\pki`, level)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.kubelet = kubelet
	a.mu.Unlock()
	network, driver := a.Node.Network()
	if network == "" || !driver.HasVFP() {
		return nil // kube-proxy serves networks with VFP only
	}
	args := []string{
		"--kubeconfig=" + kubeconfig, "--hostname-override=" + a.Node.Name, "--proxy-mode=kernelspace", "--bind-address=" + address,
		"--healthz-bind-address=127.0.0.1:10256", "--metrics-bind-address=127.0.0.1:10249", "--cluster-cidr=10.0.0.0/8", level,
		fmt.Sprintf("--enable-dsr=%t", a.Cluster.DSR),
	}
	if driver == hns.Overlay {
		args = append(args, "--feature-gates=WinOverlay=true", "--source-vip="+a.Node.SourceVIP())
	}
	_, err = a.program("kube-proxy", []string{"KUBE_NETWORK=" + network}, "kube-proxy.exe", args...)
	return err
}

// addresses are those that the node has in the cluster.
func (a *Agent) addresses() string {
	out := a.Node.Address().String()
	if a.Node.DualStack() {
		out += "," + a.Node.Addresses()[1].Addr().String()
	}
	return out
}

// level is how much kubelet and kube-proxy log.
func (a *Agent) level() string { return fmt.Sprintf("-v=%d", a.Cluster.LogLevel) }

func (a *Agent) containerdConfig() string {
	shim := wine.WindowsPath(a.Cluster.Program(build.Shim))
	return fmt.Sprintf(`version = 4
root = 'C:\ProgramData\containerd\root'
state = 'C:\ProgramData\containerd\state'
imports = []
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = 'C:\%s'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '%s'
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['C:\%s']
  conf_dir = 'C:\%s'
[plugins.'io.containerd.grpc.v1.cri']
  disable_tcp_service = false
[plugins.'io.containerd.server.v1.grpc-tcp']
  address = '127.0.0.1:%d'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runhcs-wcow-process]
  runtime_type = 'io.containerd.runhcs.v1'
  runtime_path = '%s'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runhcs-wcow-hypervisor]
  runtime_type = 'io.containerd.runhcs.v1'
  runtime_path = '%[6]s'
  cni_conf_dir = 'C:\%[7]s'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runhcs-wcow-hypervisor.options]
    SandboxIsolation = 1
`, windows(mirrorsDir), build.SandboxImage, windows(spec.BinDir), windows(spec.ConfDir), spec.CRIPort, shim, windows(hyperVConfDir))
}

func windows(path string) string { return strings.ReplaceAll(path, "/", `\`) }

// kubeletConfig judges no node by its host's disk and memory: nodes share them
// with each other and with whatever else the machine does.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
clusterDNS: [` + spec.DNS + `]
clusterDomain: cluster.local
enforceNodeAllocatable: []
failSwapOn: false
resolvConf: ""
nodeStatusUpdateFrequency: 5s
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 0%, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%, imagefs.inodesFree: 0%}
serializeImagePulls: false
`

// windowsKubelet is what a Windows node's has beside that.
const windowsKubelet = `containerRuntimeEndpoint: npipe:////./pipe/containerd-containerd
podLogsDir: 'C:\var\log\pods'
`

// windowsKeys returns what kubelet reads of Windows, as a file for reg.exe.
func windowsKeys(profile string) (string, error) {
	p, err := hnsemu.ProfileNamed(profile)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion]
"ProductName"="Windows Server %s Datacenter"
"CurrentVersion"="6.3"
"CurrentBuild"="%d"
"CurrentBuildNumber"="%[2]d"
"CurrentMajorVersionNumber"=dword:0000000a
"CurrentMinorVersionNumber"=dword:00000000
"UBR"=dword:00000001
"CSDVersion"=""

[HKEY_LOCAL_MACHINE\SYSTEM\HardwareConfig]
"LastConfig"="{4c4c4544-0042-3510-8051-b4c04f4d3332}"

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters]
"BootId"=dword:00000007

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters]
"NameServer"=""

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces]
`, p.Name, p.Build), nil
}
