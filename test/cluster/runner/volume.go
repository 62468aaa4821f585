// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"bytes"
	"errors"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// volumeName is a path by the name of a volume, in which Wine puts the drive's letter last.
var volumeName = regexp.MustCompile(`^//\?/Volume\{[-0-9a-fA-F]*([0-9a-fA-F]{2})\}(/.*)$`)

// onNode returns this machine's path of a file of the node. Drive is the folder that is the
// node's drive C; drive Z is this machine.
func onNode(drive, path string) string {
	path = strings.ReplaceAll(path, `\`, "/")
	if m := volumeName.FindStringSubmatch(path); m != nil {
		letter, _ := strconv.ParseUint(m[1], 16, 8)
		path = string(rune(letter)) + ":" + m[2]
	}
	switch {
	case len(path) < 2 || path[1] != ':':
		return path
	case path[0] == 'Z' || path[0] == 'z':
		return path[2:]
	default:
		return drive + path[2:]
	}
}

// inContainer returns a path of a Windows container as Linux has it.
func inContainer(path string) string {
	path = strings.ReplaceAll(path, `\`, "/")
	if len(path) > 1 && path[1] == ':' {
		path = path[2:]
	}
	if path == "" {
		return "/"
	}
	return path
}

// volumes keeps copies of volumes that kubelet writes atomically. It makes a folder for
// each version and a symbolic link to the newest, which Wine says it made and did not. So
// the newest is copied, and again when there is a newer one.
type volumes struct {
	dir     string
	ended   chan struct{}
	stopped sync.Once
	n       int
}

func newVolumes(dir string) *volumes { return &volumes{dir: dir, ended: make(chan struct{})} }

func (v *volumes) stop() { v.stopped.Do(func() { close(v.ended) }) }

// poll is how often kubelet's folders are looked at. It writes them once a minute.
const poll = 500 * time.Millisecond

// mount returns what to mount for a folder or file of the node.
func (v *volumes) mount(source string) (string, error) {
	version := newest(source)
	if version == "" {
		return source, nil
	}
	to := filepath.Join(v.dir, strconv.Itoa(v.n))
	v.n++
	if err := os.MkdirAll(to, 0o755); err != nil {
		return "", err
	}
	if err := mirror(version, to); err != nil {
		return "", err
	}
	go func() {
		ticker := time.NewTicker(poll)
		defer ticker.Stop()
		for {
			select {
			case <-v.ended:
				return
			case <-ticker.C:
			}
			next := newest(source)
			if next == "" || next == version {
				continue
			}
			if err := mirror(next, to); err != nil {
				log.Printf("runner: %v", err)
				continue // kubelet may have removed it meanwhile
			}
			version = next
		}
	}()
	return to, nil
}

// newest returns the newest version in a folder that kubelet writes atomically, empty for
// another folder.
func newest(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	best, when := "", time.Time{}
	for _, e := range entries {
		if e.Name() == "..data" {
			return "" // the link is there
		}
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), "..2") && info.ModTime().After(when) {
			best, when = filepath.Join(dir, e.Name()), info.ModTime()
		}
	}
	return best
}

// mirror makes to the same as from. A file changes at once or not at all.
func mirror(from, to string) error {
	keep := map[string]bool{}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		keep[name] = true
		target := filepath.Join(to, name)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if was, err := os.ReadFile(target); err == nil && bytes.Equal(was, text) {
			return nil
		}
		if err := os.WriteFile(target+".new", text, 0o644); err != nil {
			return err
		}
		return os.Rename(target+".new", target)
	})
	if err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // below what was just removed
		}
		if err != nil {
			return err
		}
		if name, err := filepath.Rel(to, path); err != nil || keep[name] {
			return err
		}
		return os.RemoveAll(path)
	})
}
