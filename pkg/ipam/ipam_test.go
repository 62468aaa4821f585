// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

var byValue = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
var prefixByValue = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

// tempDir is t.TempDir for Wine, too, which cannot do what os.RemoveAll does since
// Go 1.25 (deleting with POSIX semantics: "Invalid function").
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ipam-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		var all []string
		if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			all = append(all, path)
			return err
		}); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		slices.Reverse(all) // what is in a directory before the directory
		for _, path := range all {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		}
	})
	return dir
}

// conf returns a configuration with the given ipam section and other members.
func conf(t *testing.T, ipam string, more ...string) []byte {
	t.Helper()
	members := append([]string{`"cniVersion":"1.0.0"`, `"name":"net1"`, `"type":"bulkhead"`, `"driver":"l2bridge"`, `"ipam":` + ipam}, more...)
	out := []byte("{" + strings.Join(members, ",") + "}")
	if !json.Valid(out) {
		t.Fatalf("the test's configuration is not JSON: %s", out)
	}
	return out
}

func hostLocalConf(t *testing.T, dir, ranges string, more ...string) []byte {
	t.Helper()
	return conf(t, fmt.Sprintf(`{"type":"host-local","dataDir":%q,"ranges":%s}`, dir, ranges), more...)
}

// heldIn returns the addresses that files in dir reserve, with their owners.
func heldIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "net1"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		if e.Name() == "lock" || strings.HasPrefix(e.Name(), "last_reserved_ip") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, "net1", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[strings.ReplaceAll(e.Name(), "_", ":")] = string(data)
	}
	return out
}

func TestHostLocalAddDel(t *testing.T) {
	dir := tempDir(t)
	c := hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/24","gateway":"10.1.0.1"}],[{"subnet":"fd00::/64"}]]`)
	p, r := open("host-local"), request{ContainerID: "c1", IfName: "eth0", Conf: c}
	got, err := p.Add(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	want := Result{Addresses: []Address{
		{Prefix: netip.MustParsePrefix("10.1.0.2/24"), Gateway: netip.MustParseAddr("10.1.0.1")},
		// The guess fd00::1 is nobody's word: the network decides.
		{Prefix: netip.MustParsePrefix("fd00::2/64")},
	}}
	if diff := cmp.Diff(want, got, byValue, prefixByValue); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	wantHeld := map[string]string{"10.1.0.2": "c1\r\neth0", "fd00::2": "c1\r\neth0"}
	if diff := cmp.Diff(wantHeld, heldIn(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for range 2 {
		if err := p.Del(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	if got := heldIn(t, dir); len(got) != 0 {
		t.Errorf("after DEL: %v", got)
	}
}

// Two ADDs of an interface without a DEL between are outside of the specification.
// Both addresses stay reserved until DEL, which frees both.
func TestHostLocalAddTwice(t *testing.T) {
	dir := tempDir(t)
	c := hostLocalConf(t, dir, dualStack)
	p, r := open("host-local"), request{ContainerID: "c1", IfName: "eth0", Conf: c}
	for range 2 {
		if _, err := p.Add(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	if got := heldIn(t, dir); len(got) != 4 {
		t.Errorf("two ADDs hold %v, want two addresses of each family", got)
	}
	r.Addresses = addrs("10.1.0.3", "fd00::3")
	if err := p.Del(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if got := heldIn(t, dir); len(got) != 0 {
		t.Errorf("after DEL: %v", got)
	}
}

// What Bulkhead leaves in the directory is what host-local leaves there.
func TestHostLocalMakesNoFilesOfItsOwn(t *testing.T) {
	dir := tempDir(t)
	r := request{ContainerID: "c1", IfName: "eth0", Conf: hostLocalConf(t, dir, dualStack)}
	if _, err := open("host-local").Add(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(dir, "net1"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, strings.ReplaceAll(f.Name(), "_", ":"))
	}
	want := []string{"10.1.0.2", "fd00::2", "last:reserved:ip.0", "last:reserved:ip.1", "lock"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// An ADD needs no other pod's file: it works where none can be read.
func TestHostLocalAddReadsNoOtherFile(t *testing.T) {
	dir := tempDir(t)
	reserve(t, dir, nil)
	circle("10.1.0.2")(t, filepath.Join(dir, "net1"))
	folder("10.1.0.3")(t, filepath.Join(dir, "net1"))
	got, err := open("host-local").Add(context.Background(), request{ContainerID: "c1", IfName: "eth0", Conf: hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`)})
	if err != nil || got.Addresses[0].Prefix.String() != "10.1.0.4/24" {
		t.Errorf("got %v, %v", got.Addresses, err)
	}
}

func TestHostLocalRequestedAddress(t *testing.T) {
	dir := tempDir(t)
	ranges := `[[{"subnet":"10.1.0.0/24"}]]`
	tests := []struct {
		name, want, wantErr string
		args                string
		conf                []byte
	}{
		{name: "runtimeConfig", want: "10.1.0.77/24", conf: hostLocalConf(t, dir, ranges, `"runtimeConfig":{"ips":["10.1.0.77"]}`)},
		{name: "CNI_ARGS of Kubernetes", want: "10.1.0.78/24", args: "IgnoreUnknown=1;K8S_POD_NAME=web", conf: hostLocalConf(t, dir, ranges)},
		{name: "in no range", wantErr: "requested address 10.2.0.1 is in no range", conf: hostLocalConf(t, dir, ranges, `"runtimeConfig":{"ips":["10.2.0.1"]}`)},
		{name: "unknown CNI_ARGS", wantErr: "unknown key \"COLOUR\"", args: "COLOUR=red", conf: hostLocalConf(t, dir, ranges)},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request{ContainerID: fmt.Sprint("c", i), IfName: "eth0", Args: tt.args, Conf: tt.conf}
			got, err := open("host-local").Add(context.Background(), r)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) || !errors.Is(err, ErrConfig) {
					t.Fatalf("got %v, want an ErrConfig with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := got.Addresses[0].Prefix.String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// DEL works with a configuration whose ranges were broken after ADD.
func TestHostLocalDelWithChangedConf(t *testing.T) {
	dir := tempDir(t)
	p, r := open("host-local"), request{ContainerID: "c1", IfName: "eth0", Conf: hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`)}
	if _, err := p.Add(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	r.Conf = hostLocalConf(t, dir, `[[{"subnet":"nonsense"}]]`)
	if err := p.Del(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if got := heldIn(t, dir); len(got) != 0 {
		t.Errorf("after DEL: %v", got)
	}
}

func TestHostLocalDelOnlyItsOwn(t *testing.T) {
	dir := tempDir(t)
	p := open("host-local")
	var all []request
	for _, id := range []string{"c1", "c2"} {
		for _, ifName := range []string{"eth0", "eth1"} {
			r := request{ContainerID: id, IfName: ifName, Conf: hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`)}
			if _, err := p.Add(context.Background(), r); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
	}
	if err := p.Del(context.Background(), all[0]); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"10.1.0.3": "c1\r\neth1", "10.1.0.4": "c2\r\neth0", "10.1.0.5": "c2\r\neth1"}
	if diff := cmp.Diff(want, heldIn(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestHostLocalManyAtOnce(t *testing.T) {
	dir := tempDir(t)
	c := hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`)
	const n = 50
	seen, mu, wg := map[string]bool{}, sync.Mutex{}, sync.WaitGroup{}
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			got, err := open("host-local").Add(context.Background(), request{ContainerID: fmt.Sprint("c", i), IfName: "eth0", Conf: c})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seen[got.Addresses[0].Prefix.String()] = true
		}()
	}
	wg.Wait()
	if len(seen) != n {
		t.Errorf("%d different addresses for %d containers", len(seen), n)
	}
}

func TestNoIPAMLeavesAddressesToHNS(t *testing.T) {
	got, err := open("").Add(context.Background(), request{ContainerID: "c", Conf: conf(t, `null`)})
	if err != nil || len(got.Addresses) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestValidateTouchesNothing(t *testing.T) {
	dir := tempDir(t)
	t.Setenv("CNI_PATH", tempDir(t))
	good := `[[{"subnet":"10.1.0.0/24"}]]`
	tests := []struct {
		name, plugin string
		request      request
		wantErr      string
	}{
		{"host-local", "host-local", request{Conf: hostLocalConf(t, dir, good)}, ""},
		{"host-local without ranges", "host-local", request{Conf: hostLocalConf(t, dir, `[]`)}, "ipam.ranges: missing; host-local needs at least one range"},
		{"host-local with a bad subnet", "host-local", request{Conf: hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/99"}]]`)}, "ipam.ranges[0][0].subnet: \"10.1.0.0/99\" is not a CIDR"},
		{"host-local with null", "host-local", request{Conf: hostLocalConf(t, dir, good, `"runtimeConfig":{"ips":["10.1.0.5",null]}`)}, "runtimeConfig.ips[1]: want a string, got null"},
		{"host-local with null in args", "host-local", request{Conf: hostLocalConf(t, dir, good, `"args":{"cni":{"ips":[null]}}`)}, "args.cni.ips[0]: want a string, got null"},
		{"host-local with null for a range", "host-local", request{Conf: hostLocalConf(t, dir, `[[null]]`)}, "ipam.ranges[0][0]: want an object, got null"},
		{"static", "static", request{Conf: conf(t, `{"type":"static","addresses":[{"address":"10.1.0.5/24"}]}`)}, ""},
		{"static without addresses", "static", request{Conf: conf(t, `{"type":"static"}`)}, "at least one address"},
		{"no such plugin", "missing-ipam", request{Conf: conf(t, `{"type":"missing-ipam"}`)}, `ipam.type: failed to find plugin "missing-ipam"`},
		{"none", "", request{Conf: conf(t, `{}`)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := open(tt.plugin).Validate(tt.request)
			switch {
			case tt.wantErr == "" && err != nil:
				t.Error(err)
			case tt.wantErr != "" && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tt.wantErr)):
				t.Errorf("got %v, want an ErrConfig with %q", err, tt.wantErr)
			}
		})
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("Validate made %v (%v)", entries, err)
	}
}

func TestHostLocalCheckAndGC(t *testing.T) {
	dir := tempDir(t)
	c := hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}]]`)
	p, ctx := open("host-local"), context.Background()
	for _, id := range []string{"c1", "c2", "c3"} {
		if _, err := p.Add(ctx, request{ContainerID: id, IfName: "eth0", Conf: c}); err != nil {
			t.Fatal(err)
		}
	}
	// A file that a killed host-local had not written to yet.
	if err := os.WriteFile(filepath.Join(dir, "net1", "10.1.0.99"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.GC(ctx, c, []config.Attachment{{ContainerID: "c2", IfName: "eth0"}, {ContainerID: "c3", IfName: "eth1"}}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"10.1.0.3": "c2\r\neth0", "fd00::3": "c2\r\neth0"}
	if diff := cmp.Diff(want, heldIn(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if err := p.Check(ctx, request{ContainerID: "c2", IfName: "eth0", Conf: c}); err != nil {
		t.Error(err)
	}
	if err := p.Check(ctx, request{ContainerID: "c1", IfName: "eth0", Conf: c}); err == nil {
		t.Error("CHECK of c1, which holds nothing, succeeds")
	}
}

// The network's gateway is the pod's, and no pod gets it as an address; a range's
// own gateway wins.
func TestHostLocalGateways(t *testing.T) {
	network := `"network":{"subnets":[{"prefix":"10.1.0.0/29","gateway":"10.1.0.6"}]}`
	tests := []struct {
		name, ranges string
		more         []string
		want         []string
	}{
		{"network's", `[[{"subnet":"10.1.0.0/29"}]]`, []string{network}, []string{"10.1.0.1 10.1.0.6", "10.1.0.2 10.1.0.6", "10.1.0.3 10.1.0.6", "10.1.0.4 10.1.0.6", "10.1.0.5 10.1.0.6"}},
		{"range's", `[[{"subnet":"10.1.0.0/29","gateway":"10.1.0.5"}]]`, []string{network}, []string{"10.1.0.1 10.1.0.5", "10.1.0.2 10.1.0.5", "10.1.0.3 10.1.0.5", "10.1.0.4 10.1.0.5"}},
		{"nobody's", `[[{"subnet":"10.1.0.0/30"}]]`, nil, []string{"10.1.0.2 invalid IP"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tempDir(t)
			c := hostLocalConf(t, dir, tt.ranges, tt.more...)
			var got []string
			for i := 0; ; i++ {
				r, err := open("host-local").Add(context.Background(), request{ContainerID: fmt.Sprint("c", i), IfName: "eth0", Conf: c})
				if err != nil {
					break // used up
				}
				got = append(got, r.Addresses[0].Prefix.Addr().String()+" "+r.Addresses[0].Gateway.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("addresses and gateways (-want +got):\n%s", diff)
			}
		})
	}
}

// No configuration may make a plugin panic, or STATUS take long.
func FuzzConf(f *testing.F) {
	dir := filepath.Join(os.TempDir(), "ipam-test-none") // not f.TempDir: Wine
	for _, c := range []string{
		`{"name":"n","ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.5","gateway":"10.1.0.9"}],[{"subnet":"fd00::/64"}]]}}`,
		`{"name":"n","ipam":{"subnet":"::/96","gateway":"::ffff:1.2.3.4"},"runtimeConfig":{"ipRanges":[[{"subnet":"::a00:0/120"}]],"ips":["10.1.0.5",null]}}`,
		`{"name":"n","ipam":{"subnet":"255.255.255.252/30"},"args":{"cni":{"ips":[null]}},"network":{"subnets":[{"gateway":"10.1.0.1"}]}}`,
		`{"name":"n","ipam":{"type":"static","addresses":[{"address":"::ffff:10.0.0.1/97","gateway":"fe80::1%e"}],"routes":[null]}}`,
		`{"name":"n","cniVersion":"0.2.0","ipam":null,"runtimeConfig":null,"args":null,"network":{"subnets":null}}`,
	} {
		f.Add(c, "IP=10.1.0.9/24;GATEWAY=10.1.0.1;IgnoreUnknown=1")
	}
	f.Fuzz(func(t *testing.T, conf, args string) {
		var c map[string]any
		if json.Unmarshal([]byte(conf), &c) == nil && c != nil {
			c["name"] = "n"
			if section, ok := c["ipam"].(map[string]any); ok {
				section["dataDir"] = dir
			}
			changed, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			conf = string(changed)
		}
		for _, p := range []parsing{{hostLocal{}}, {static{}}} {
			err := p.Validate(request{ContainerID: "c", IfName: "eth0", Args: args, Conf: []byte(conf)})
			if err != nil && !errors.Is(err, ErrConfig) {
				t.Errorf("%T: %v is not an ErrConfig", p.Plugin, err)
			}
			status := p.Status(t.Context(), []byte(conf))
			if err == nil && args == "" && status != nil && !errors.Is(status, ErrExhausted) {
				t.Errorf("%T: Validate is content, Status says %v", p.Plugin, status)
			}
		}
	})
}
