// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// roleVar makes the test binary a kube-proxy that waits for the end of its stdin.
const roleVar = "KUBEPROXY_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleVar) == "" {
		os.Exit(m.Run())
	}
	_, _ = os.Stdout.WriteString("runs\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// What a process was started with is read from another one.
func TestRunning(t *testing.T) {
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "kubeproxy")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir) // Wine cannot remove what t.TempDir would insist on
	exe := filepath.Join(dir, "Kube-Proxy.exe")
	if err := os.WriteFile(exe, self, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "--source-vip=10.1.0.2", "--hostname-override", "a b", "--enable-dsr=true")
	cmd.Env = append(os.Environ(), roleVar+"=proxy", Variable+"=podnet")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	}()
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	got, err := Running()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range got {
		if int(p.PID) != cmd.Process.Pid {
			continue
		}
		if p.Network != "podnet" || p.SourceVIP != "10.1.0.2" || !p.DSR || len(p.Args) != 5 || p.Args[3] != "a b" {
			t.Errorf("got %+v", p)
		}
		return
	}
	t.Errorf("process %d is not among %+v", cmd.Process.Pid, got)
}
