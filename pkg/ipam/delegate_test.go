// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

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
	fmt.Print(os.Getenv("IPAM_TEST_ANSWER"))
	if strings.Contains(os.Getenv("IPAM_TEST_ANSWER"), `"code"`) {
		return 1
	}
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
	t.Cleanup(func() { _ = errors.Join(os.Remove(record), os.Remove(filepath.Join(dir, name))) })
	for k, v := range map[string]string{
		"CNI_PATH": dir, "CNI_COMMAND": command, "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0",
		"CNI_ARGS": "IgnoreUnknown=1", "CNI_NETNS": "guid", "IPAM_TEST_RECORD": record, "IPAM_TEST_ANSWER": answer,
	} {
		t.Setenv(k, v)
	}
	return record
}

func TestDelegateSendsTheOriginalBytes(t *testing.T) {
	c := conf(t, `{"type":"azure-ipam",  "unknown": {"to": "us"}}`)
	record := install(t, "ADD", `{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.5/24","gateway":"10.1.0.1"}],"dns":{}}`)
	got, err := Open("azure-ipam").Add(context.Background(), Request{ContainerID: "c1", IfName: "eth0", Conf: c})
	if err != nil {
		t.Fatal(err)
	}
	want := Result{Addresses: []Address{{netip.MustParsePrefix("10.1.0.5/24"), netip.MustParseAddr("10.1.0.1")}}}
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
	if err := Open("azure-ipam").Del(context.Background(), Request{Conf: conf(t, `{"type":"azure-ipam"}`)}); err != nil {
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
		_, err := Open("azure-ipam").Add(context.Background(), Request{Conf: c})
		var cniErr *types.Error
		if !errors.As(err, &cniErr) || cniErr.Code != 11 || !strings.Contains(err.Error(), "azure-ipam") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a result that is not one", func(t *testing.T) {
		install(t, "ADD", `{"cniVersion":"1.0.0","ips":[{"address":"nonsense"}]}`)
		if _, err := Open("azure-ipam").Add(context.Background(), Request{Conf: c}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("no such plugin", func(t *testing.T) {
		install(t, "ADD", "")
		if _, err := Open("missing-ipam").Add(context.Background(), Request{Conf: c}); err == nil {
			t.Error("no error")
		}
	})
}
