// SPDX-License-Identifier: Apache-2.0

package wine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/wire"
)

// Env is an emulated node and the means to run Windows programs on it.
type Env struct {
	// Host is the node, for the test to break and to inspect.
	Host *hnsemu.Host
	// Addr is where the node is served, what programs have in HNSEMU_ADDR.
	Addr string

	id   string // marks the processes of this Env
	runs atomic.Uint64
	vars []string
}

// Require skips the test when this machine cannot run Windows programs. Where
// CI is "true" or BULKHEAD_REQUIRE_WINE is "1" the test fails instead.
func Require(t testing.TB) {
	t.Helper()
	err := available()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true" || os.Getenv("BULKHEAD_REQUIRE_WINE") == "1":
		t.Fatalf("Windows programs cannot run here: %v", err)
	default:
		t.Skipf("SKIPPED, Windows programs cannot run here: %v", err)
	}
}

// Start serves a new node of a profile ("2019", "2022" or "2025") until the test
// ends, and then kills what programs of it still run. It calls Require.
func Start(t testing.TB, profile string) *Env {
	t.Helper()
	Require(t)
	vars, err := prefix()
	if err != nil {
		t.Fatal(err)
	}
	p, err := hnsemu.ProfileNamed(profile)
	if err != nil {
		t.Fatal(err)
	}
	host, err := NewHost(p)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	env := &Env{
		Host: host,
		Addr: l.Addr().String(),
		id:   fmt.Sprintf("%d-%s", os.Getpid(), l.Addr()),
		vars: vars,
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- wire.Serve(ctx, l, env.Host) }()
	t.Cleanup(func() {
		killMarked(env.id + ".")
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return env
}

// WindowsPath returns the name that Windows programs have for a file of this
// machine: Z:\etc\hosts for /etc/hosts. A relative path is taken from the
// working directory.
func WindowsPath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path // there is no working directory: leave it relative
	}
	return "Z:" + strings.ReplaceAll(abs, "/", `\`)
}

// available tells once why Windows programs cannot run, if they cannot.
var available = sync.OnceValue(func() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("needs Linux, this is %s", runtime.GOOS)
	}
	script, err := wineScript()
	if err != nil {
		return err
	}
	if out, err := exec.Command(script, "check").CombinedOutput(); err != nil {
		return fmt.Errorf("wine or mingw-w64 is not installed; as root, scripts/wine.sh up installs them: %s%w", out, err)
	}
	return nil
})

// held is what keeps the prefix up. It is never closed by us: the end of this
// process, whatever it be, closes it. Only a variable keeps the garbage collector
// from closing it, too.
var held io.Closer //nolint:unused // being there is its use

// prefix brings the Wine prefix up once, keeps it up for as long as this process
// lives, and returns the variables of a program in it.
var prefix = sync.OnceValues(func() ([]string, error) {
	script, err := wineScript()
	if err != nil {
		return nil, err
	}
	hold := exec.Command(script, "hold")
	if held, err = hold.StdinPipe(); err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	hold.Stderr = &stderr
	stdout, err := hold.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := hold.Start(); err != nil {
		return nil, err
	}
	out, err := io.ReadAll(stdout)
	vars := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || lookup(vars, "WINELOADER") == "" {
		return nil, errors.Join(fmt.Errorf("scripts/wine.sh hold: %s", &stderr), err, hold.Wait())
	}
	for _, name := range []string{"HOME", "PATH"} {
		vars = append(vars, name+"="+os.Getenv(name))
	}
	return vars, nil
})

func lookup(vars []string, name string) string {
	for _, v := range vars {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

func wineScript() (string, error) {
	root, err := moduleRoot()
	return filepath.Join(root, "scripts", "wine.sh"), err
}

// moduleRoot returns the nearest directory above that has a go.mod.
var moduleRoot = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working directory")
		}
	}
})
