// SPDX-License-Identifier: Apache-2.0

// Package service keeps programs running, each with a log, and restarts those that end by
// themselves, as Windows' service manager would.
package service

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// again is how long a program that ended by itself is left alone.
const again = time.Second

// Program is a program to keep running.
type Program struct {
	Name string
	Args []string // the program first
	Env  []string // beside this process's own
	// Log is the file that it writes to, at the end of what is there.
	Log string
	Dir string
}

// Service is a program that is kept running.
type Service struct {
	p Program

	mu   sync.Mutex
	cmd  *exec.Cmd // nil while it does not run
	want bool
	ends int // how often it ended by itself
	// changed is told when the program ends or is to end.
	changed chan struct{}
}

// Start starts a program.
func Start(p Program) (*Service, error) {
	s := &Service{p: p, changed: make(chan struct{}, 1)}
	return s, s.Start()
}

// Start starts the program where it does not run.
func (s *Service) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want = true
	return s.start()
}

func (s *Service) start() error {
	if s.cmd != nil {
		return nil
	}
	log, err := os.OpenFile(s.p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.p.Args[0], s.p.Args[1:]...)
	cmd.Env, cmd.Dir = append(os.Environ(), s.p.Env...), s.p.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.p.Name, err)
	}
	s.cmd = cmd
	go s.follow(cmd)
	return nil
}

// follow waits for the end of the program, and starts it again unless it was to end.
func (s *Service) follow(cmd *exec.Cmd) {
	ended := cmd.Wait()
	s.mu.Lock()
	s.cmd = nil
	want := s.want
	if want {
		s.ends++
	}
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	if !want {
		return
	}
	if log, err := os.OpenFile(s.p.Log, os.O_APPEND|os.O_WRONLY, 0o644); err == nil {
		fmt.Fprintf(log, "--- %s ended by itself (%v); it is started again\n", s.p.Name, ended)
		log.Close()
	}
	for {
		time.Sleep(again)
		s.mu.Lock()
		var err error
		if s.want {
			err = s.start()
		}
		s.mu.Unlock()
		if err == nil {
			return
		}
	}
}

// Running reports whether the program runs.
func (s *Service) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd != nil
}

// Check returns an error that names the log of a program that has ended by itself again and
// again.
func (s *Service) Check() error {
	const tooOften = 3
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends < tooOften {
		return nil
	}
	return fmt.Errorf("%s has ended by itself %d times; see %s", s.p.Name, s.ends, s.p.Log)
}

// Stop ends the program, by force after the patience, and waits for its end.
func (s *Service) Stop(patience time.Duration) {
	s.mu.Lock()
	s.want = false
	cmd := s.cmd
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	if patience > 0 {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	for deadline := time.Now().Add(patience); s.Running(); {
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
		}
		select {
		case <-s.changed:
		case <-time.After(50 * time.Millisecond):
		}
	}
}
