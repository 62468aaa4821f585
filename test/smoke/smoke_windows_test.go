// SPDX-License-Identifier: Apache-2.0

// Package smoke_test is a pod's life on a Windows machine: the real bulkhead.exe, called as
// containerd calls it, on networks that it makes itself.
package smoke_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Microsoft/hcsshim/hcn"

	"github.com/bulkhead-cni/bulkhead/pkg/hcn/hcnwin"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// network is the network that the test makes and removes.
const network = "bulkhead-test-smoke"

// TestPod runs ADD, CHECK and DEL on a network of the driver HNSTEST_DRIVER, nat or
// l2bridge, and logs what only a real HNS can answer; the numbers are those of
// pkg/hnsemu/HNS.md. HNSTEST_PLUGINS is a folder with bulkhead.exe and runtime.exe
// (test/runtime), which are built when it is not set. Run it as an administrator of a
// machine that may lose its network for some seconds.
func TestPod(t *testing.T) {
	driver := os.Getenv("HNSTEST_DRIVER")
	if driver == "" {
		t.Skip("SKIPPED: HNSTEST_DRIVER names no driver, nat or l2bridge")
	}
	plugins := os.Getenv("HNSTEST_PLUGINS")
	if plugins == "" {
		plugins = t.TempDir()
		run(t, "go", "build", "-C", "../..", "-o", plugins+`\`, "./plugins/bulkhead", "./test/runtime")
	}
	conf := conflist(t, driver, plugins)
	t.Cleanup(func() { run(t, filepath.Join(plugins, "bulkhead.exe"), "network", "delete", "--name", network) })
	runtime := func(verb string, more ...string) string {
		t.Helper()
		args := []string{verb, "--conf", conf, "--plugins", plugins, "--cache", filepath.Join(filepath.Dir(conf), "cache"), "--id", "smoke", "--pod", "smoke"}
		return run(t, filepath.Join(plugins, "runtime.exe"), append(args, more...)...)
	}

	var added struct {
		NetNS  string
		Result struct {
			IPs []struct{ Address netip.Prefix }
		}
	}
	if err := json.Unmarshal([]byte(runtime("run")), &added); err != nil {
		t.Fatal(err)
	}
	deleted := false
	t.Cleanup(func() {
		if !deleted {
			runtime("stop", "--netns", added.NetNS)
		}
	})
	client, err := hcnwin.Open(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	// The name that win-bridge gives to an endpoint, too.
	named, err := client.EndpointsNamed(t.Context(), "smoke_"+network)
	if err != nil || len(named) != 1 {
		t.Fatalf("after ADD: endpoints %+v, %v; want one", named, err)
	}
	pod := named[0]
	if pod.NamespaceID != added.NetNS || len(added.Result.IPs) != 1 || len(pod.Addresses) != 1 || added.Result.IPs[0].Address.Addr() != pod.Addresses[0].Addr() {
		t.Errorf("ADD returned %+v, HNS has %+v", added, pod)
	}
	answer(t, "question 7, state of an endpoint in use (2 is attached, 3 shared)", "powershell", "-NoProfile", "-Command", "(Get-HnsEndpoint | Where-Object Id -eq '"+pod.ID+"').State")
	providerAddress(t, pod)
	answer(t, "question of rights that a folder below ProgramData inherits", "icacls", folder(t))

	runtime("check", "--netns", added.NetNS)
	runtime("stop", "--netns", added.NetNS)
	deleted = true
	if named, err := client.EndpointsNamed(t.Context(), pod.Name); err != nil || len(named) > 0 {
		t.Errorf("after DEL: endpoints %+v, %v", named, err)
	}
	if _, err := client.Namespace(t.Context(), added.NetNS); !errors.Is(err, hns.ErrNotFound) {
		t.Errorf("after DEL: the namespace: %v, want ErrNotFound", err)
	}
}

// conflist writes the driver's conflist of plugins/bulkhead/conf to dir for this machine: on the
// adapter of the default route, and with the test's own network.
func conflist(t *testing.T, driver, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "plugins", "bulkhead", "conf", driver+".conflist"))
	if err != nil {
		t.Fatal(err)
	}
	var list map[string]any
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	list["name"] = network
	plugin := list["plugins"].([]any)[0].(map[string]any)
	if section, ok := plugin["network"].(map[string]any); ok {
		maps.DeleteFunc(section, func(key string, _ any) bool { return key == "adapter" })
	}
	if data, err = json.Marshal(list); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "smoke.conflist")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// providerAddress asks question 12: whether an endpoint may have a provider address.
func providerAddress(t *testing.T, pod hns.Endpoint) {
	t.Helper()
	n, err := hcn.GetNetworkByID(pod.NetworkID)
	if err != nil {
		t.Fatal(err)
	}
	made, err := n.CreateEndpoint(&hcn.HostComputeEndpoint{
		Name: "bulkhead-test-provider", HostComputeNetwork: n.Id, SchemaVersion: hcn.V2SchemaVersion(),
		Policies: []hcn.EndpointPolicy{{Type: hcn.NetworkProviderAddress, Settings: json.RawMessage(`{"ProviderAddress":"192.0.2.1"}`)}},
	})
	if err != nil {
		t.Logf("question 12, provider address on %s: refused: %v", n.Type, err)
		return
	}
	t.Logf("question 12, provider address on %s: accepted", n.Type)
	if err := made.Delete(); err != nil {
		t.Errorf("%s stays behind: %v", made.Name, err)
	}
}

// folder makes a folder where programs of Windows have their data.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("ProgramData"), "bulkhead-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	return dir
}

// run runs a program, which must succeed, and returns what it printed.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.Command(program, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	t.Logf("%s %s\n%s%s", filepath.Base(program), strings.Join(args, " "), out, &stderr)
	if err != nil {
		t.Fatalf("%s: %v", filepath.Base(program), err)
	}
	return string(out)
}

// answer logs what a program of Windows says to a question, in one line. That it fails is an
// answer, too.
func answer(t *testing.T, question, program string, args ...string) {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	said := strings.Join(strings.Fields(string(out)), " ")
	if err != nil {
		said += " (" + err.Error() + ")"
	}
	t.Logf("%s: %s", question, said)
}
