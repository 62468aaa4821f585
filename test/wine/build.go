// SPDX-License-Identifier: Apache-2.0

package wine

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Build compiles a main package for Windows and returns the path of the
// program. pkg is an import path or relative to the top of the module; flags go
// to go build. The program is kept between runs and built again only when its
// sources changed.
func (e *Env) Build(t testing.TB, pkg string, flags ...string) string {
	t.Helper()
	return compile(t, filepath.Base(pkg)+".exe", slices.Concat([]string{"build"}, flags, []string{pkg}))
}

// BuildTest compiles the tests of a package for Windows and returns the path of
// the program. Arguments are as for Build; flags go to go test -c.
func (e *Env) BuildTest(t testing.TB, pkg string, flags ...string) string {
	t.Helper()
	return compile(t, filepath.Base(pkg)+".test.exe", slices.Concat([]string{"test", "-c"}, flags, []string{pkg}))
}

var (
	buildMu sync.Mutex
	built   = map[string]bool{}
)

func compile(t testing.TB, name string, args []string) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(strings.Join(args, "\x00")))
	dir := filepath.Join(root, ".build", "windows", fmt.Sprintf("%x", sum[:6]))
	exe := filepath.Join(dir, name)
	buildMu.Lock()
	defer buildMu.Unlock()
	if built[exe] {
		return exe
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Other test processes build the same program.
	unlock, err := lockFile(exe + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	cmd := exec.Command("go", slices.Insert(args, len(args)-1, "-o", exe)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	built[exe] = true
	return exe
}
