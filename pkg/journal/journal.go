// SPDX-License-Identifier: Apache-2.0

// Package journal keeps what verbs did: a log for people and their collectors of logs, and
// counts for Prometheus. The verbs of a node are processes that live for a moment, many at
// once, and none of them may wait for another.
//
// Both begin with the same step: a process collects in memory and appends to a file by one
// write, which lines of other processes cannot come into. That needs no lock.
//
// The counts are in two files. To <file>.samples every verb appends what it counted, one
// line of JSON. Then it adds the new lines to the sum in <file> and puts the new sum in the
// place of the old, under a lock of the node that it does not wait for: who finds it taken
// leaves that to the holder, which looks once more at the end. A sum says up to where the
// samples are in it, so none counts twice. Under contention, or while the exporter reads the
// file, no count is lost, but one can be shown late, as a rule by the next verb. What is
// lost: the count of a verb that is killed; one that a process appends in the very moment
// in which, once in some thousand verbs, the samples begin anew; and all counts while the
// files cannot be written.
package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bulkhead-cni/bulkhead/pkg/adminonly"
)

// errFull says that a file has reached its bound and nobody could put it aside.
var errFull = errors.New("the file has reached its bound")

// add appends to a file by one write, unless the file is larger than most, and returns its
// size. The system chooses the place, the file's end, as it writes (POSIX open, O_APPEND;
// Microsoft, "File Access Rights Constants", FILE_APPEND_DATA, for local files). Wine does
// that in two steps, in which another process can come.
func add(path string, text []byte, most int64) (size int64, err error) {
	if err := adminonly.MakeDir(filepath.Dir(path)); err != nil {
		return 0, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() > most {
		return info.Size(), fmt.Errorf("%s: %w of %d bytes; whoever has it open keeps it from being renamed", path, errFull, most)
	}
	n, err := file.Write(text)
	return info.Size() + int64(n), err
}
