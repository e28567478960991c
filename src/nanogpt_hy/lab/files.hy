"Files: a user's or a stranger's read with errors of one line, ours written whole or not at all.

A file is written beside its place under another name and then renamed: whoever looks sees the old
one or the new one, also after a kill -9 or a power cut."

(eval-when-compile
  (require hyrule [unless]))
(import  contextlib [contextmanager]
         hashlib [sha256]
         json
         os
         pathlib [Path]
         re
         secrets [token-hex]
         time [time]
         tomllib
         nanogpt-hy.config [shown]
         nanogpt-hy.errors [RequestError WorkError])

(setv MOST-TOML 1,000,000     ; bytes: far more than anybody writes by hand
      STALE     3600)         ; seconds: a half-written file as old as that is nobody's

(defn short [value]
  "anything -> str: a value from somebody's file, fit to be printed.
  (short \"a\\nb\")  ; => \"'a\\\\nb'\""
  (shown value repr))

(defn json-hash [value]
  "JSON -> str: 64 letters, the same for the same value."
  (.hexdigest (sha256 (.encode (json.dumps value :sort-keys True)))))

(defn as-argument [path]
  "file name -> text: the same as a command takes it, which is no option
  ; (as-argument \"-x.txt\") => \"./-x.txt\""
  (setv path (str path))
  (if (.startswith path "-") f"./{path}" path))

;;; Reading

(defn is-special [path]
  "Whether PATH is there and neither file nor folder: a pipe, say, which it may take for ever to
  open."
  (and (os.path.exists path) (not (os.path.isfile path)) (not (os.path.isdir path))))

(defn [contextmanager] reading [path]
  "Within, the file at PATH, open; what its reader meets with is told in one line."
  (setv path (Path path))
  (try
    (with [file (open path "rb")]
      (yield file))
    (except [FileNotFoundError]
      (raise (RequestError f"there is no file {path}: check the name") :from None))
    (except [IsADirectoryError]
      (raise (RequestError f"{path} is a folder: name a file in it") :from None))
    (except [e OSError]
      (raise (RequestError (+ f"{path} cannot be read ({(or e.strerror e)}): "
                              "check the permissions or name another file")) :from None))
    (except [e ValueError]
      (raise (RequestError f"{(short (str path))} is no file name ({e}): name another")
             :from None))))

(defn bytes-of [file name * [most None]]
  "open file, text -> bytes: what is in the file called NAME, of which no more than MOST bytes are
  wanted."
  (setv data (.read file (if (is most None) -1 (+ most 1))))
  (when (and (is-not most None) (> (len data) most))
    (raise (RequestError f"{name} has more than {most :,} bytes, too many: name another file")))
  data)

(defn read-bytes [path * [most None]]
  "file name -> bytes: what is in the file, of which no more than MOST bytes are wanted."
  (with [file (reading path)]
    (bytes-of file path :most most)))

(defn read-toml [path * [most MOST-TOML]]
  "file name -> dict: what a TOML file of at most MOST bytes says. The mark by which some editors
  begin such a file says nothing."
  (setv data (read-bytes path :most most))
  (try
    (tomllib.loads (.decode data "utf-8-sig"))
    (except [e [ValueError RecursionError]]       ; the decoders' errors are ValueErrors too
      (setv why (if (isinstance e RecursionError)
                  "nested too deeply"
                  (get (.splitlines (str e)) 0)))
      (raise (RequestError f"{path} is no TOML file ({why}): mend it") :from None))))

(defn read-rows [path * [most None]]
  "file name -> [dict]: the JSON objects in a file of one a line; what is none is left out, as half
  a line is, from a process that was killed."
  (setv rows [])
  (for [line (.split (read-bytes path :most most) b"\n")]
    (try
      (setv row (json.loads line))
      (except [[ValueError RecursionError]]
        (continue)))
    (when (isinstance row dict)
      (.append rows row)))
  rows)

;;; Writing

(defn append-row [path row]
  "file name, dict -> None: ROW is one more line of JSON in the file, and on the disk, whatever
  happens next. Half a line that is there, from a process that was killed, is ended first."
  (try
    (with [file (open path "ab+")]
      (when (and (.tell file) (!= (do (.seek file -1 os.SEEK-END) (.read file 1)) b"\n"))
        (.write file b"\n"))
      (.write file (.encode (+ (json.dumps row) "\n") "utf-8"))
      (.flush file)
      (os.fsync (.fileno file)))
    (except [e OSError]
      (raise (WorkError (+ f"cannot write {path} ({e.strerror}): "
                           "free some space, or name another folder with --out"))))))

(defn stands [path]
  "Path -> bool: whether there is anything; RequestError where there cannot be."
  (try
    (os.lstat path)
    True
    (except [FileNotFoundError]
      False)
    (except [e [OSError ValueError]]
      (setv why (or (getattr e "strerror" None) e))
      (raise (RequestError f"{(short (str path))} cannot be there ({why}): choose another name")
             :from None))))

(defn check-ordinary [path]
  "Path -> None: RequestError for a pipe or a device, whose place no file of ours shall take."
  (when (is-special path)
    (raise (RequestError f"{path} is neither file nor folder: name a file"))))

(defn check-place [path]
  "Path -> None: RequestError where no file of ours can be."
  (when (os.path.isdir path)
    (raise (RequestError f"{path} is a folder: add the name of a file")))
  (check-ordinary path)
  (unless (os.path.isdir path.parent)
    (raise (RequestError f"the folder {path.parent} does not exist: make it or name another"))))

(defn check-new [path * [overwrite False]]
  "Path -> None: RequestError where no new file of this name can be made."
  (check-place path)
  (when (and (stands path) (not overwrite))
    (raise (RequestError (+ f"{path} is there already: name another file, remove it first, "
                            "or replace it with --force")))))

(defn check-pictures [files]
  "{kind: file name or None} -> None: RequestError where a picture cannot be drawn, be it only that
  its name does not end in its kind."
  (for [kind ["png" "svg" "html" "dot"]
        :setv name (.get files kind)
        :if name]
    (when (!= (.lower (. (Path name) suffix)) f".{kind}")
      (raise (RequestError f"--{kind} {name} does not end in .{kind}: name a file that does")))
    (check-place (Path name))))

(defn [contextmanager] held [folder]
  "Within, no other process can hold FOLDER, on systems that have locks of folders: RequestError."
  (try
    (import fcntl)
    (except [ImportError]
      (yield)
      (return)))
  (setv handle (os.open folder os.O-RDONLY))
  (try
    (fcntl.flock handle (| fcntl.LOCK-EX fcntl.LOCK-NB))
    (except [BlockingIOError]
      (os.close handle)
      (raise (RequestError (+ f"another process is training in {folder}: wait for it, "
                              "or choose another --out")) :from None))
    (except [OSError] None))              ; a file system without locks
  (try
    (yield)
    (finally (os.close handle))))

(defn make-folder [path]
  "Path -> None: there is this folder now; RequestError where a file is in its place, WorkError
  where the system refuses."
  (try
    (.mkdir path :parents True :exist-ok True)
    (except [e [FileExistsError NotADirectoryError]]
      (raise (RequestError f"{path} cannot be a folder ({e.strerror}): choose another name")
             :from e))
    (except [e OSError]
      (raise (WorkError f"cannot make the folder {path} ({(or e.strerror e)}): choose another name")
             :from e))))

(defn written-at [path]
  "file name -> seconds: when it was last written, 0 where it is gone meanwhile."
  (try (. (os.stat path) st-mtime)
    (except [OSError] 0)))

(defn half-written [path mark]
  "Path, 16 letters that no other has -> str: the name of a file that is to become PATH; short, as
  names may be."
  f".{(cut path.name 50)}.{mark}.tmp")

(defn sweep [path]
  "Path -> None: removes what a killed process left half-written beside it, once that is STALE."
  (try
    (for [left (.glob path.parent ".*.tmp")]
      (setv mark (get (.split left.name ".") -2))
      (when (and (re.fullmatch "[0-9a-f]{16}" mark)
                 (= left.name (half-written path mark))
                 (< (written-at left) (- (time) STALE)))
        (.unlink left :missing-ok True)))
    (except [OSError] None)))           ; tidying up is no reason to fail

(defn sync-folder [folder]
  "Path -> None: makes a rename in the folder outlive a power cut, where the system can."
  (try
    (setv handle (os.open folder os.O-RDONLY))
    (try (os.fsync handle)
      (finally (os.close handle)))
    (except [OSError] None)))           ; some systems open no folders; the rename itself has worked

(defn [contextmanager] new-file [path]
  "Within, a file to write, beside PATH; behind it, whole and on the disk, PATH. A failure leaves no
  file."
  (setv temporary (.with-name path (half-written path (token-hex 8)))
        binary    (getattr os "O_BINARY" 0)       ; only Windows tells text from bytes
        handle    (os.open temporary (| os.O-WRONLY os.O-CREAT os.O-EXCL binary) 0o666))
  (try
    (with [file (os.fdopen handle "wb")]
      (yield file)
      (.flush file)
      (os.fsync (.fileno file)))
    (os.replace temporary path)
    (except [BaseException]             ; Ctrl-C too must leave nothing behind
      (.unlink temporary :missing-ok True)
      (raise))))

(defn [contextmanager] atomic-file [path]
  "Within, a file to write; what it holds at the end is PATH then, or what PATH is a link to, at
  once or not at all. WorkError where the system refuses; what was there before is still there."
  (check-ordinary path)
  (setv target (Path (os.path.realpath path)))
  (try
    (with [file (new-file target)]
      (yield file))
    (sweep target)
    (except [e OSError]
      (setv kept (if (os.path.isfile path) ", the older one is still there" ""))
      (raise (WorkError (+ f"cannot write {path} ({(or e.strerror e)}){kept}: "
                           "free some space, or use a folder that you may write to"))
             :from e)))
  (sync-folder target.parent))

(defn write-atomic [path data]
  "file name, text or bytes -> None: the file has this content now, at once or not at all."
  (with [file (atomic-file path)]
    (.write file (if (isinstance data str) (.encode data "utf-8") data))))

(defn remove [path]
  "file name -> None: there is no such file now; WorkError where the system refuses."
  (try
    (.unlink (Path path) :missing-ok True)
    (except [e OSError]
      (raise (WorkError (+ f"cannot remove {path} ({(or e.strerror e)}): "
                           "remove it yourself, or use another name"))
             :from e))))
