// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"io"
	"sync"
)

// input writes what a process is sent. A process that does not read it holds up nobody:
// what it does not take is kept.
type input struct {
	mu    sync.Mutex
	more  *sync.Cond
	parts [][]byte
	ended bool
}

// newInput writes to a process's input until the end. Closes says whether the input is
// closed then: a terminal is not.
func newInput(to io.WriteCloser, closes bool) *input {
	i := &input{}
	i.more = sync.NewCond(&i.mu)
	go i.write(to, closes)
	return i
}

func (i *input) add(data []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.parts = append(i.parts, data)
	i.more.Signal()
}

// end says that no more comes.
func (i *input) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	i.more.Signal()
}

func (i *input) write(to io.WriteCloser, closes bool) {
	if closes {
		defer to.Close()
	}
	for {
		i.mu.Lock()
		for len(i.parts) == 0 && !i.ended {
			i.more.Wait()
		}
		parts := i.parts
		i.parts = nil
		i.mu.Unlock()
		if len(parts) == 0 {
			return
		}
		for _, data := range parts {
			if _, err := to.Write(data); err != nil {
				return // it has ended
			}
		}
	}
}
