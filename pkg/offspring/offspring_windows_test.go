// SPDX-License-Identifier: Apache-2.0

package offspring_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/offspring"
)

// The test binary is also the parent, which ends with that exit code or not at all, and
// its child.
const (
	roleVar  = "OFFSPRING_TEST_ROLE"
	exitCode = 3
)

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVar); role {
	case "":
		os.Exit(m.Run())
	case "child":
		time.Sleep(time.Hour)
	default:
		child := again("child")
		child.Stdout = os.Stdout
		err := offspring.Bind()
		if err == nil {
			err = child.Start()
		}
		fmt.Println("started", err)
		if role == "ends" {
			os.Exit(exitCode)
		}
		time.Sleep(time.Hour)
	}
}

func again(role string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	return cmd
}

// A child has its parent's stdout, which is at its end when both have ended.
func TestFinding11ChildrenEnd(t *testing.T) {
	for _, role := range []string{"ends", "is killed"} {
		t.Run(role, func(t *testing.T) {
			parent := again(role)
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			said := bufio.NewReader(out)
			if line, _ := said.ReadString('\n'); line != "started <nil>\n" {
				t.Fatalf("the parent said %q", line)
			}
			if role == "is killed" {
				if err := parent.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = io.Copy(io.Discard, said) // whatever ends it
			}()
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Fatal("the child goes on")
			}
			var exit *exec.ExitError
			if err := parent.Wait(); role == "ends" && (!errors.As(err, &exit) || exit.ExitCode() != exitCode) {
				t.Errorf("the parent: %v, want exit code %d", err, exitCode)
			}
		})
	}
}
