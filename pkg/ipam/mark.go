// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A mark is an empty file beside that of an address. Its name says for whom the
// address is reserved, so that who looks for one holder need not open the files of
// all. It is made after the address's file and removed before it. host-local's
// executable passes over marks: where there is none, or an older one than the
// address's file, or several, that file tells.
const markPrefix = "holder-"

// mark returns the name of a mark for h beside the file of an address.
func (h Holder) mark(file string) string { return markPrefix + h.digest() + "-" + file }

// digest is short. Holders that share one are told apart by what is in the files.
func (h Holder) digest() string {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(h.String())) // never fails
	return fmt.Sprintf("%016x", sum.Sum64())
}

// marked takes a mark's name apart.
func marked(name string) (digest, file string, ok bool) {
	rest, ok := strings.CutPrefix(name, markPrefix)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "-")
}

// marksIn returns the names of the marks in a directory, by the file that they are
// beside.
func marksIn(files []fs.DirEntry) map[string][]fs.DirEntry {
	out := map[string][]fs.DirEntry{}
	for _, f := range files {
		if _, file, ok := marked(f.Name()); ok {
			out[file] = append(out[file], f)
		}
	}
	return out
}

// digestOf returns whom the marks beside a file say that it is for, or nothing when
// only the file itself can tell.
func digestOf(file fs.DirEntry, marks []fs.DirEntry) string {
	if len(marks) != 1 {
		return ""
	}
	made, err := file.Info()
	if err != nil {
		return ""
	}
	told, err := marks[0].Info()
	if err != nil || told.ModTime().Before(made.ModTime()) {
		return ""
	}
	digest, _, _ := marked(marks[0].Name())
	return digest
}

// setMark makes the mark of an address's file. It only saves work, so a failure is
// none.
func (b book) setMark(file string, h Holder) {
	if f, err := os.OpenFile(filepath.Join(b.dir, h.mark(file)), os.O_WRONLY|os.O_CREATE, 0o600); err == nil {
		_ = f.Close()
	}
}

// removeMarks fails as little as setMark: a mark that stays is passed over.
func removeMarks(paths []string) {
	for _, path := range paths {
		_ = os.Remove(path)
	}
}
