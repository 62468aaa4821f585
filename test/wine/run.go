// SPDX-License-Identifier: Apache-2.0

package wine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// DefaultTimeout is how long a program may take when its Cmd does not say.
const DefaultTimeout = time.Minute

// marker is the variable that tells the processes of one run, children
// included, from all others. Wine's children leave the process group. Its value
// begins with our process id and a hyphen: scripts/wine.sh hold relies on it.
const marker = "BULKHEAD_RUN"

// farewell is what Wine itself writes, though WINEDEBUG is -all, when a program
// ends in the moment in which another of its threads asks the wineserver: the
// beginning of a message (dlls/ntdll/unix/server.c, fatal_perror). The program
// ended as it would have; its exit code says how.
var farewell = regexp.MustCompile(`wine client error:[0-9a-f]+: [^\n]*\n?`)

// Cmd is a Windows program to run.
type Cmd struct {
	// Path is the program's file on this machine.
	Path string
	Args []string
	// Env is added to HNSEMU_ADDR and Wine's own variables; nothing else of the
	// test's environment is passed on.
	Env []string
	// Stdin is what the program reads.
	Stdin string
	// Dir is the working directory, the test's own when empty.
	Dir string
	// Timeout is how long the program may take, DefaultTimeout when 0.
	Timeout time.Duration
}

// Result is how a program ended.
type Result struct {
	Stdout, Stderr string
	// Code is the exit code's lower eight bits, -1 when the program was killed.
	Code int
	// Killed is true when the program took too long.
	Killed bool
	// Elapsed is how long it ran.
	Elapsed time.Duration
	// PeakBytes is the most memory that the program had, Wine's part of it
	// included; 0 where the system does not tell.
	PeakBytes int64
}

// Run runs a program to its end. The test fails when it could not be started;
// how it ended is for the test to judge.
func (e *Env) Run(t testing.TB, c Cmd) Result {
	t.Helper()
	got, err := e.Exec(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Exec is Run for goroutines other than the test's, and for programs that are to
// be killed, with all their children, when ctx ends.
func (e *Env) Exec(ctx context.Context, c Cmd) (Result, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	id := fmt.Sprintf("%s.%d.", e.id, e.runs.Add(1))
	args := slices.Concat(strings.Fields(lookup(e.vars, "WINELAUNCHER")), []string{lookup(e.vars, "WINELOADER"), c.Path}, c.Args)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = slices.Concat(e.vars, []string{"HNSEMU_ADDR=" + e.Addr, marker + "=" + id}, c.Env)
	cmd.Dir = c.Dir
	cmd.Stdin = strings.NewReader(c.Stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = dieWithParent()
	cmd.Cancel = func() error {
		killMarked(id)
		return nil
	}
	cmd.WaitDelay = 10 * time.Second

	start := time.Now()
	err := cmd.Run()
	got := Result{
		Stdout:  stdout.String(),
		Stderr:  farewell.ReplaceAllString(stderr.String(), ""),
		Code:    cmd.ProcessState.ExitCode(),
		Elapsed: time.Since(start), PeakBytes: peak(cmd.ProcessState),
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return got, nil
	case ctx.Err() != nil:
		got.Killed = true
		return got, nil
	case errors.As(err, &exit) && exit.Exited():
		return got, nil
	default: // not started, or ended by a signal that is none of ours
		return got, fmt.Errorf("run %s: %w", c.Path, err)
	}
}
