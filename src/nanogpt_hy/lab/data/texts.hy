"Texts read part by part, so that no text is too long: decoded, looked through, and divided."

(eval-when-compile
  (require hyrule [unless]))
(import  codecs
         hashlib [sha256]
         itertools [chain]
         os
         sys
         numpy :as np
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.encoding [codes]
         nanogpt-hy.lab.files [bytes-of is-special read-bytes reading])

(setv BLOCK        200,000         ; bytes read at once: more would only leave the processor's cache
      MOST-AT-ONCE 100,000,000     ; bytes of a file that is read as a whole
      NEWLINE      (ord "\n"))


;;; From bytes to characters

(defn blocks [path [told (fn [count])]]
  "file name -> bytes...: what is in the file. TOLD hears how many bytes each block has."
  (with [file (reading path)]
    (while (setx block (.read file BLOCK))
      (told (len block))
      (yield block))))

(defn decoded [blocks path]
  "bytes... -> texts: the characters of a UTF-8 file, as they are: no newline is translated. Only
  the mark by which some editors begin such a file is none of them."
  (setv decoder ((codecs.getincrementaldecoder "utf-8-sig"))
        done    0)
  (for [block (chain blocks [b""])]               ; the empty one says that this was all
    (when (in 0 block)
      (raise (RequestError (+ f"{path} is binary (byte {(+ done (.index block 0))} is 0): "
                              "give a UTF-8 text file"))))
    (setv done (+ done (len block)))
    (try
      (setv text (.decode decoder block (not block)))
      (except [e UnicodeDecodeError]
        (setv place (+ done (- e.start (len e.object))))       ; e.object begins with what was left
        (raise (RequestError (+ f"{path} is not UTF-8 text (byte {place} is "
                                f"{(get e.object e.start) :#x}): convert it, as iconv does")))))
    (yield text)))

(defn decode-text [data path]
  "The characters of a UTF-8 file, as `decoded` gives them."
  (.join "" (decoded [data] path)))

(defn read-text [path]
  "The characters of the UTF-8 file at PATH, which may have MOST-AT-ONCE bytes; - is stdin."
  (unless (= (str path) "-")
    (return (decode-text (read-bytes path :most MOST-AT-ONCE) path)))
  (try
    (setv data (bytes-of sys.stdin.buffer "standard input" :most MOST-AT-ONCE))
    (except [e OSError]
      (raise (RequestError f"standard input cannot be read ({e.strerror}): name a file")
             :from None)))
  (decode-text data "standard input"))


;;; Looked through

(defclass Alphabet []
  "The characters of a text, found part by part."
  (defn __init__ [self]
    (setv self.seen  (np.zeros 0x110000 bool)
          self.ascii b""))                        ; those of them that are ASCII

  (defn add [self text]
    "str -> None"
    (if (.isascii text)
      (do
        (setv new (.translate (.encode text "ascii") None self.ascii))
        (when new
          (.see self (list (set new)))))
      (.see self (codes text))))

  (defn see [self codes]
    "(N) code points -> None"
    (unless (.all (.take self.seen codes))        ; to look is faster than to write
      (setv (get self.seen codes) True
            self.ascii (bytes (.tolist (np.flatnonzero (cut self.seen 128)))))))

  (defn characters [self]
    "-> str: each one once, in their order."
    (.join "" (map chr (np.flatnonzero self.seen)))))

(defclass Lines []
  "Whether all lines of a text have one length, found part by part."
  (defn __init__ [self]
    (setv self.characters 0
          self.count      0
          self.width      None                    ; of the first line, its newline included
          self.even       True))

  (defn add [self text]
    "str -> None"
    (when self.even
      (setv ends (+ (np.flatnonzero (= (codes text) NEWLINE)) self.characters 1))       ; (lines)
      (when (and (is self.width None) (len ends))
        (setv self.width (int (get ends 0))))
      (setv self.even  (not (and (len ends) (.any (% ends self.width))))
            self.count (+ self.count (len ends))))
    (setv self.characters (+ self.characters (len text))))

  (defn length [self * [at-least 10]]
    "-> int or None: the length that all lines share, newlines not counted, if there are AT-LEAST
    so many."
    (when (and self.even self.width (> self.width 1) (>= self.count at-least)
               (= self.characters (* self.count self.width)))
      (- self.width 1))))

(defclass Text []
  "A UTF-8 file that was looked through once; it is read again when its parts are asked for."
  (defn __init__ [self path [told (fn [count])]]
    (setv self.path  (str path)
          self.state (state-of path)
          digest     (sha256)
          alphabet   (Alphabet)
          lines      (Lines))
    (for [text (decoded (digested (blocks path told) digest) path)]
      (.add alphabet text)
      (.add lines text))
    (when (= lines.characters 0)
      (raise (RequestError f"{path} is empty: name a text with something in it")))
    (setv self.sha256      (.hexdigest digest)
          self.characters  lines.characters
          self.alphabet    (.characters alphabet)
          self.line-length (.length lines)))

  (defn parts [self [told (fn [count])]]
    "-> texts: all of it, once more; RequestError if it is not the same any more."
    (yield :from (decoded (blocks self.path told) self.path))
    (when (!= (state-of self.path) self.state)
      (raise (RequestError
        f"{self.path} changed while it was read: do it again when nobody writes to it")))))

(defn digested [blocks digest]
  "bytes... -> the same; DIGEST takes them in on the way."
  (for [block blocks]
    (.update digest block)
    (yield block)))

(defn state-of [path]
  "file name -> what changes when somebody writes to the file. RequestError unless it is one that
  can be read twice, as every text is."
  (when (is-special path)
    (raise (RequestError
      f"{path} is no regular file, and a text is read twice: write it into a file first")))
  (with [file (reading path)]
    (setv status (os.fstat (.fileno file))))
  [status.st-size status.st-mtime-ns status.st-ino])


;;; Divided

(defclass Parts []
  "A text of which so and so many characters are taken, and then the rest."
  (defn __init__ [self texts]
    (setv self.texts (iter texts)
          self.rest  ""))

  (defn take [self [count sys.maxsize]]
    "int -> texts: the next COUNT characters, or all there are."
    (while (> count 0)
      (setv text (or self.rest (next self.texts None)))
      (when (is text None)
        (break))
      (setv self.rest (cut text count None)
            text      (cut text count)
            count     (- count (len text)))
      (yield text))))

(defn starts-counted [texts starts]
  "texts -> the same; the characters that begin a line of theirs are counted in the dict STARTS."
  (setv begins True)
  (for [text texts  :if text]
    (setv all   (codes text)
          after (+ (np.flatnonzero (= (cut all -1) NEWLINE)) 1)
          first (get all (if begins (np.append 0 after) after))
          [found places times] (np.unique first :return-index True :return-counts True))
    (for [i (np.argsort places)  :if (!= (get found i) NEWLINE)]
      (setv char (chr (get found i))
            (get starts char) (+ (.get starts char 0) (int (get times i)))))
    (setv begins (= (get all -1) NEWLINE))
    (yield text)))
