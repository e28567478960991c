"Files: written at once or not at all, read with errors of one line."

(import  errno
         os
         resource
         stat
         pytest
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.files :as files
         nanogpt-hy.lab.files [append-row check-new make-folder read-bytes read-toml remove short
                              write-atomic])

(defn [pytest.fixture] file [tmp-path]
  "A file that says old, the only one in its folder."
  (setv path (/ tmp-path "config.toml"))
  (.write-bytes path b"old")
  path)

(defn the-only-file [path content]
  (assert (= [path] (list (.iterdir path.parent))))
  (assert (= content (.read-bytes path))))

(defn failure [kind f #* args #** kw]
  "The one line in which an error of this KIND says why (F PATH…) failed."
  (with [caught (pytest.raises kind)]
    (f #* args #** kw))
  (setv text (str caught.value))
  (assert (not-in "\n" text))
  (assert (< (len text) 600))
  text)

(defn full [#* args #** kw]
  (raise (OSError errno.ENOSPC "No space left on device")))

;;; Writing

(defn test-text-and-bytes [file]
  (write-atomic file "größe = 1\r\n")
  (the-only-file file (.encode "größe = 1\r\n"))
  (write-atomic (str file) b"\x00\x01")
  (the-only-file file b"\x00\x01"))

(defn [(pytest.mark.parametrize "name" ["fsync" "open" "replace"])]
      test-a-system-that-refuses [file monkeypatch name]
  (with [patch (.context monkeypatch)]
    (.setattr patch os name full)
    (setv text (failure WorkError write-atomic file "new")))
  (assert (in f"cannot write {file} (No space left on device), the older one is still there" text))
  (the-only-file file b"old"))

(defn test-a-file-that-the-disk-has-no-room-for [file]
  "The limit on file sizes stands in for a full disk: the system itself stops the write halfway."
  (setv limits (resource.getrlimit resource.RLIMIT-FSIZE))
  (resource.setrlimit resource.RLIMIT-FSIZE #(100,000 (get limits 1)))
  (try
    (setv text (failure WorkError write-atomic file (bytes 400,000)))
    (finally (resource.setrlimit resource.RLIMIT-FSIZE limits)))
  (assert (in "still there" text))
  (the-only-file file b"old"))

(defn test-folders-that-cannot-be-written-to [file]
  (for [path [(/ file.parent "no" "x") (/ file "x") (/ file.parent (* "n" 256))]]
    (assert (not-in "still there" (failure WorkError write-atomic path "new"))))
  (the-only-file file b"old"))

(defn test-names-as-long-as-they-may-be [file]
  (setv path (/ file.parent (* "n" 255)))
  (write-atomic path "new")
  (assert (= "new" (.read-text path))))

(defn test-ctrl-c-leaves-nothing-behind [file monkeypatch]
  (defn interrupted [handle]
    (raise KeyboardInterrupt))
  (with [patch (.context monkeypatch)]
    (.setattr patch os "fsync" interrupted)
    (with [(pytest.raises KeyboardInterrupt)]
      (write-atomic file "new")))
  (the-only-file file b"old"))

(defn test-a-new-name-is-on-the-disk-too [file monkeypatch]
  "A power cut may undo a rename until the folder has been synced."
  (setv done [] [fsync replace] [os.fsync os.replace])
  (.setattr monkeypatch os "fsync"
    (fn [handle]
      (.append done (if (stat.S-ISDIR (. (os.fstat handle) st-mode)) "folder" "file"))
      (fsync handle)))
  (.setattr monkeypatch os "replace" (fn [a b] (.append done "rename") (replace a b)))
  (write-atomic file "new")
  (assert (= done ["file" "rename" "folder"])))

(defn test-a-row-is-on-the-disk-when-it-is-said-to-be [tmp-path monkeypatch]
  (setv path (/ tmp-path "rows.jsonl")  synced [])
  (.setattr monkeypatch os "fsync" (fn [handle] (.append synced (.read-text path))))
  (append-row path {"a" 1})
  (append-row path {"a" 2})
  (assert (= synced ["{\"a\": 1}\n" "{\"a\": 1}\n{\"a\": 2}\n"])))

(defn test-no-link-of-somebody-elses-is-written-through [file monkeypatch]
  "Not even if they guess the name under which a file is half-written."
  (.setattr monkeypatch files "token_hex" (fn [n] (* "0" (* 2 n))))
  (setv goal (/ file.parent "goal"))
  (.symlink-to (/ file.parent f".{file.name}.{(* "0" 16)}.tmp") goal)
  (assert (in "File exists" (failure WorkError write-atomic file "new")))
  (assert (not (.exists goal)))
  (assert (= b"old" (.read-bytes file))))

(defn test-what-a-kill-left-behind-is-swept-up-in-time [file]
  (setv old (/ file.parent f".{file.name}.0123456789abcdef.tmp")
        new (/ file.parent f".{file.name}.fedcba9876543210.tmp"))
  (.touch old)
  (.touch new)
  (os.utime old #(1000 1000))
  (write-atomic file "new")
  (assert (= (set (.iterdir file.parent)) #{file new})))

(defn test-only-what-is-ours-is-swept-up [file]
  (setv notes (lfor  name ["mine" "0123456789ABCDEF" "0123456789abcdef0"]
                     (/ file.parent f".{file.name}.{name}.tmp"))
        notes [#* notes (/ file.parent ".other.toml.0123456789abcdef.tmp")])
  (for [path notes]
    (.touch path)
    (os.utime path #(1000 1000)))
  (write-atomic file "new")
  (assert (= (set (.iterdir file.parent)) #{file #* notes})))

(defn test-a-link-stays-one [file tmp-path-factory]
  "What it leads to is written, also where nothing is there yet."
  (setv elsewhere (.mktemp tmp-path-factory "elsewhere"))
  (for [name ["old" "none"]]
    (setv link (/ elsewhere f"link-to-{name}")
          goal (if (= name "old") file (/ elsewhere name)))
    (.symlink-to link goal)
    (write-atomic link "new")
    (assert (.is-symlink link))
    (assert (= "new" (.read-text goal)))))

(defn test-a-link-that-leads-nowhere-is-in-the-way [file]
  (setv link (/ file.parent "link"))
  (.symlink-to link (/ file.parent "none"))
  (assert (in "is there already" (failure RequestError check-new link)))
  (check-new link :overwrite True))

(defn test-a-pipe-stays-one [file]
  (setv pipe (/ file.parent "pipe"))
  (os.mkfifo pipe)
  (for [path [pipe "/dev/null"]]
    (assert (in "neither file nor folder" (failure RequestError write-atomic path "new"))))
  (assert (in "neither file" (failure RequestError check-new pipe :overwrite True)))
  (assert (.is-fifo pipe)))

(defn test-folders [file]
  (make-folder (/ file.parent "a" "b"))
  (make-folder (/ file.parent "a" "b"))
  (for [path [file (/ file "x")]]
    (assert (in "cannot be a folder" (failure RequestError make-folder path)))))

(defn test-remove [file]
  (assert (in "cannot remove" (failure WorkError remove file.parent)))
  (remove file)
  (remove (str file))                   ; what is gone is gone
  (assert (= [] (list (.iterdir file.parent)))))

;;; Reading

(defn test-read-bytes [file]
  (assert (= b"old" (read-bytes file) (read-bytes (str file)) (read-bytes file :most 3)))
  (assert (in "more than 2 bytes" (failure RequestError read-bytes file :most 2))))

(defn test-of-a-large-file-no-more-is-read-than-is-wanted []
  "/dev/zero has no end."
  (assert (in "more than 1,000 bytes" (failure RequestError read-bytes "/dev/zero" :most 1000))))

(defn test-what-cannot-be-read [file]
  (for [[path words] [[(/ file.parent "no") "there is no file"]  ["" "is a folder"]
                      [file.parent "is a folder"]                [(/ file "x") "Not a directory"]
                      ["a\0\n" "'a\\x00\\n' is no file name"]
                      [(* "n" 300) "File name too long"]]]
    (assert (in words (failure RequestError read-bytes path)))
    (assert (in words (failure RequestError read-toml path)))))

(defn test-what-may-not-be-read [file monkeypatch]
  (defn forbidden [#* args]
    (raise (PermissionError errno.EACCES "Permission denied")))
  (.setattr monkeypatch "builtins.open" forbidden)
  (assert (in "cannot be read (Permission denied)" (failure RequestError read-bytes file))))

(defn test-read-toml [file]
  (write-atomic file "name = \"größe\"\r\n[part]\nn = 1\n")
  (assert (= (read-toml file) {"name" "größe"  "part" {"n" 1}}))
  (.write-bytes file b"\xef\xbb\xbfn = 1\r\n")              ; as Windows' Notepad saved texts
  (assert (= (read-toml file) {"n" 1}))
  (for [data [b"old" b"\xff\xfe" b"a = 1\na = 2" (+ b"a = " (* b"[" 100,000))]]
    (write-atomic file data)
    (assert (in f"{file} is no TOML file (" (failure RequestError read-toml file)))))

(defn test-short []
  (assert (= (short "a\nb") "'a\\nb'"))
  (assert (= (short [1 2]) "[1, 2]"))
  (assert (= 70 (len (short (* "x" 1000))))))

(defn test-brackets-in-brackets-are-told [tmp-path]
  (setv path (/ tmp-path "config.toml"))
  (.write-text path (+ "x = " (* "[" 100,000)))
  (assert (in "(nested too deeply)" (failure RequestError read-toml path))))
