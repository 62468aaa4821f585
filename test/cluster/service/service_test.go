// SPDX-License-Identifier: Apache-2.0

package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestServiceIsKeptRunning(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	s, err := Start(Program{Name: "short", Args: []string{"sh", "-c", "echo run; sleep 0.1"}, Log: log, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	lines := func() int {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "run\n")
	}
	for deadline := time.Now().Add(20 * time.Second); lines() < 2 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	s.Stop(0)
	n := lines()
	if n < 2 {
		t.Errorf("it ran %d times", n)
	}
	time.Sleep(again + 300*time.Millisecond)
	if s.Running() || lines() != n {
		t.Error("it runs again after it was stopped")
	}
	if _, err := Start(Program{Name: "none", Args: []string{filepath.Join(dir, "none")}, Log: log}); err == nil {
		t.Error("a program that is not there was started")
	}
}

func TestStopByForce(t *testing.T) {
	dir := t.TempDir()
	s, err := Start(Program{Name: "deaf", Args: []string{"sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"}, Log: filepath.Join(dir, "log"), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	begun := time.Now()
	s.Stop(300 * time.Millisecond)
	if s.Running() || time.Since(begun) > 10*time.Second {
		t.Errorf("runs %t after %s", s.Running(), time.Since(begun))
	}
}
