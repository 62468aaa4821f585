// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"
)

// When the test binary is executed as an IPAM plugin it records what it was
// given and answers from a file.
func TestMain(m *testing.M) {
	if record := os.Getenv("IPAM_TEST_RECORD"); record != "" {
		os.Exit(playPlugin(record))
	}
	os.Exit(m.Run())
}

func playPlugin(record string) int {
	stdin, err := io.ReadAll(os.Stdin)
	if err != nil {
		return 1
	}
	env := []string{}
	for _, name := range []string{"CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_ARGS", "CNI_NETNS"} {
		env = append(env, name+"="+os.Getenv(name))
	}
	if err := os.WriteFile(record, []byte(strings.Join(env, " ")+"\n"+string(stdin)), 0o600); err != nil {
		return 1
	}
	if how := os.Getenv("IPAM_TEST_HANG"); how != "" {
		return hang(how)
	}
	fmt.Print(os.Getenv("IPAM_TEST_ANSWER"))
	if strings.Contains(os.Getenv("IPAM_TEST_ANSWER"), `"code"`) {
		return 1
	}
	return 0
}

// hangTime is longer than any test waits.
const hangTime = 15 * time.Second

// hang is a plugin that does not answer; "child" has a child that keeps its pipes
// and ends with the test.
func hang(how string) int {
	sign := os.Getenv("IPAM_TEST_RECORD") + ".hangs"
	if how == "child's child" {
		for end := time.Now().Add(hangTime); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if _, err := os.Stat(sign); err != nil {
				return 0
			}
		}
		return 1
	}
	if err := os.WriteFile(sign, nil, 0o600); err != nil {
		return 1
	}
	if how == "child" {
		// Not this executable, which the test removes.
		child := exec.Command(os.Getenv("IPAM_TEST_SELF"))
		child.Env = append(os.Environ(), "IPAM_TEST_HANG=child's child")
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			return 1
		}
		if err := os.WriteFile(sign+"-too", nil, 0o600); err != nil {
			return 1
		}
	}
	time.Sleep(hangTime)
	return 0
}

// install puts the test binary into a directory as the plugin "azure-ipam" and
// sets the environment of a runtime.
func install(t *testing.T, command, answer string) (record string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, name := tempDir(t), "azure-ipam"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), program, 0o700); err != nil {
		t.Fatal(err)
	}
	record = filepath.Join(dir, "record")
	for k, v := range map[string]string{
		"CNI_PATH": dir, "CNI_COMMAND": command, "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0",
		"CNI_ARGS": "IgnoreUnknown=1", "CNI_NETNS": "guid", "IPAM_TEST_RECORD": record, "IPAM_TEST_SELF": self, "IPAM_TEST_ANSWER": answer,
	} {
		t.Setenv(k, v)
	}
	return record
}

func TestDelegateSendsTheOriginalBytes(t *testing.T) {
	c := conf(t, `{"type":"azure-ipam",  "unknown": {"to": "us"}}`)
	record := install(t, "ADD", `{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.5/24","gateway":"10.1.0.1"}],"dns":{}}`)
	got, err := open("azure-ipam").Add(context.Background(), request{ContainerID: "c1", IfName: "eth0", Conf: c})
	if err != nil {
		t.Fatal(err)
	}
	want := Result{Addresses: []Address{{Prefix: netip.MustParsePrefix("10.1.0.5/24"), Gateway: netip.MustParseAddr("10.1.0.1")}}}
	if diff := cmp.Diff(want, got, byValue, prefixByValue); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	sent, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	wantSent := "CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_IFNAME=eth0 CNI_ARGS=IgnoreUnknown=1 CNI_NETNS=guid\n" + string(c)
	if diff := cmp.Diff(wantSent, string(sent)); diff != "" {
		t.Errorf("what the plugin was given (-want +got):\n%s", diff)
	}
}

func TestDelegateUndoesUnderAnotherVerb(t *testing.T) {
	record := install(t, "ADD", "")
	if err := open("azure-ipam").Del(context.Background(), request{Conf: conf(t, `{"type":"azure-ipam"}`)}); err != nil {
		t.Fatal(err)
	}
	sent, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(sent), "CNI_COMMAND=DEL ") {
		t.Errorf("the plugin was given %s", sent)
	}
}

func TestDelegateFailures(t *testing.T) {
	c := conf(t, `{"type":"azure-ipam"}`)
	t.Run("the plugin's error and code", func(t *testing.T) {
		install(t, "ADD", `{"code":11,"msg":"later"}`)
		_, err := open("azure-ipam").Add(context.Background(), request{Conf: c})
		var cniErr *types.Error
		if !errors.As(err, &cniErr) || cniErr.Code != 11 || !strings.Contains(err.Error(), "azure-ipam") {
			t.Errorf("got %v", err)
		}
	})
	for _, tt := range []struct{ name, answer, want string }{
		{"an address that is none", `{"cniVersion":"1.0.0","ips":[{"address":"nonsense"}]}`, "invalid CIDR address"},
		{"null for an address", `{"cniVersion":"1.0.0","ips":[null]}`, "ips[0]: null is not an address"},
		{"null for an address, old", `{"cniVersion":"0.4.0","ips":[null]}`, "not a CNI result"},
		{"an address without its length", `{"cniVersion":"0.2.0","ip4":{"ip":"10.1.0.5"}}`, "invalid CIDR address"},
		{"a version that is none", `{"cniVersion":"nonsense"}`, "unsupported CNI result version"},
		{"not JSON", `ok`, "invalid character"},
		{"nothing", ``, "unexpected end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			install(t, "ADD", tt.answer)
			got, err := open("azure-ipam").Add(context.Background(), request{Conf: c})
			if err == nil || !strings.Contains(err.Error(), "IPAM plugin azure-ipam") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v, want %q", got, err, tt.want)
			}
		})
	}
	t.Run("no such plugin", func(t *testing.T) {
		install(t, "ADD", "")
		if _, err := open("missing-ipam").Add(context.Background(), request{Conf: c}); err == nil {
			t.Error("no error")
		}
	})
}

// verbs calls every verb that executes a plugin.
func verbs(ctx context.Context, p parsing, r request) map[string]func() error {
	return map[string]func() error{
		"ADD":    func() error { _, err := p.Add(ctx, r); return err },
		"DEL":    func() error { return p.Del(ctx, r) },
		"CHECK":  func() error { return p.Check(ctx, r) },
		"GC":     func() error { return p.GC(ctx, r.Conf, nil) },
		"STATUS": func() error { return p.Status(ctx, r.Conf) },
	}
}

func TestDelegateDeadline(t *testing.T) {
	r := request{Conf: conf(t, `{"type":"azure-ipam"}`)}
	for verb := range verbs(context.Background(), parsing{}, r) {
		t.Run(verb, func(t *testing.T) {
			install(t, verb, "")
			t.Setenv("IPAM_TEST_HANG", "alone")
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			start := time.Now()
			err := verbs(ctx, open("azure-ipam"), r)[verb]()
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "IPAM plugin azure-ipam: context deadline exceeded: ") {
				t.Errorf("got %v, want a DeadlineExceeded", err)
			}
			if took := time.Since(start); took > hangTime/2 {
				t.Errorf("gave up after %v", took)
			}
		})
	}
}

// late is a context whose end, however it came, is a deadline.
type late struct{ context.Context }

func (l late) Err() error {
	if l.Context.Err() != nil {
		return context.DeadlineExceeded
	}
	return nil
}

// A killed plugin's child keeps the pipe open that the answer comes through.
func TestDelegateDeadlineWithAChild(t *testing.T) {
	record := install(t, "ADD", "")
	t.Setenv("IPAM_TEST_HANG", "child")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(record + ".hangs-too"); err == nil {
				cancel()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	start := time.Now()
	_, err := open("azure-ipam").Add(late{ctx}, request{Conf: conf(t, `{"type":"azure-ipam"}`)})
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "did not end when it was killed") {
		t.Errorf("got %v, want a DeadlineExceeded", err)
	}
	if took := time.Since(start); took > hangTime/2 {
		t.Errorf("gave up after %v", took)
	}
}

// Time that is up beforehand is said, too, and what comes in time is not blamed.
func TestDelegateInTime(t *testing.T) {
	r := request{Conf: conf(t, `{"type":"azure-ipam"}`)}
	install(t, "ADD", `{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.5/24"}]}`)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	for verb, call := range verbs(ctx, open("azure-ipam"), r) {
		if err := call(); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
	}
	cancel()
	for verb, call := range verbs(ctx, open("azure-ipam"), r) {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s when it is over: %v, want a Canceled", verb, err)
		}
	}
}
