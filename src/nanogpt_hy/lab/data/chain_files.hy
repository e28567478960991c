"Chains in files: a chain as TOML, and text that lies beside the chain it was drawn from."

(eval-when-compile
  (require hyrule [ncut unless]))
(import  os
         pathlib [Path]
         numpy :as np
         tomlkit
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.files [read-toml remove short write-atomic]
         nanogpt-hy.lab.data.markov [Chain draw-lines])

(setv MOST-FILE 20,000,000               ; bytes: the largest chain needs no more
      CHUNK     1,000,000                ; about how many characters are compared at once
      KEYS      ["chars" "start" "transitions" "line_length"])

(setv ABOUT
  ["A chain of characters: lines of line_length characters, each ended by a newline."
   "start: the weights of a line's first character; transitions: a row for each character,"
   "the weights of what follows it."])


;;; A chain

(defn chain-document [chain]
  "Chain -> TOML document: what read-chain reads, and what the names in it mean."
  (setv rows     (tomlkit.array)
        document (tomlkit.document))
  (for [row chain.transitions]
    (.add-line rows (list row) :indent "  "))
  (.add-line rows :indent "")
  (for [line ABOUT]
    (.add document (tomlkit.comment line)))
  (.update document {"chars" chain.chars  "line_length" chain.line-length
                     "start" (list chain.start)  "transitions" rows})
  document)

(defn write-chain [chain path]
  "Chain, file name -> None: the chain as a TOML file."
  (write-atomic path (tomlkit.dumps (chain-document chain))))

(defn read-chain [path]
  "file name -> Chain: the chain in a TOML file."
  (setv table   (read-toml path :most MOST-FILE)
        lacking (lfor key KEYS :if (not-in key table) key))
  (when lacking
    (raise (RequestError (+ f"{path} is no chain, it lacks {(.join ", " lacking)}: "
                            "make one with nanogpt-hy data ab --out FILE"))))
  (try
    (Chain #* (gfor key KEYS (get table key)))
    (except [e [RequestError ValueError]]          ; a whole number too long to be printed is one
      (raise (RequestError f"{path}: {e}") :from None))))


;;; A text and its chain

(defn write-data [path chain count * seed [overwrite False]]
  "file name, Chain, int -> (text file, chain file): lines, and beside them their chain."
  (setv path     (Path path)
        beside   (check-target path overwrite)
        text     (draw-lines chain count :seed seed)
        document (chain-document chain))
  (.add document (tomlkit.nl))
  (.add document "drawn" {"lines" (int count)  "seed" (int seed)})
  ;; A text beside a chain that is not its own would get a wrong floor, so the old chain goes
  ;; first and the new one comes last.
  (remove beside)
  (write-atomic path text)
  (write-atomic beside (tomlkit.dumps document))
  #(path beside))

(defn check-target [path overwrite]
  "Path -> Path: the chain's file beside that of the text; RequestError where data cannot go."
  (when (os.path.isdir path)
    (raise (RequestError f"{path} is a folder: add the name of a file, such as ab.txt")))
  (when (= (.lower path.suffix) ".toml")
    (raise (RequestError (+ f"{path} ends in .toml, the name of the chain beside the text: "
                            "use a name that ends in .txt"))))
  (unless (os.path.isdir path.parent)
    (raise (RequestError f"the folder {path.parent} does not exist: make it or name another")))
  (setv beside (.with-suffix path ".toml"))
  (for [file [path beside]]
    (when (and (stands file) (not overwrite))
      (raise (RequestError f"{file} is there already: name another file or remove it first"))))
  beside)

(defn stands [path]
  "Path -> bool: whether there is anything; RequestError for what can be no file's name."
  (try
    (os.lstat path)
    True
    (except [FileNotFoundError]
      False)
    (except [e [OSError ValueError]]
      (setv why (or (getattr e "strerror" None) e))
      (raise (RequestError f"{(short (str path))} is no file name ({why}): name another file")
             :from None))))

(defn chain-beside [text-path text]
  "file name, str -> Chain or None: the chain beside a text, if the text can come from it."
  (try
    (setv path  (.with-suffix (Path text-path) ".toml")
          chain (when (os.path.isfile path) (read-chain path)))
    (except [[RequestError ValueError]]            ; a name without a stem has no suffix either
      (return None)))
  (when (and chain (fits chain text)) chain))

(defn line-length [text * [at-least 10]]
  "str -> int or None: the length all lines share, if the text is that many or more such lines.
  The newline that ends a line is not counted; lines without any character are no lines."
  (setv length (.find text "\n")
        ends   (cut text length None (+ (abs length) 1)))   ; the first line's end, and so on
  (if (and (> length 0)
           (>= (len ends) at-least)
           (= (len text) (* (len ends) (+ length 1)))
           (= (.count text "\n") (.count ends "\n") (len ends)))
      length
      None))

(defn fits [chain text]
  "Chain str -> bool: could these lines, whole lines only, have come from the chain?"
  (setv width (+ chain.line-length 1)
        step  (* width (max 1 (// CHUNK width))))
  (and (= (line-length text :at-least 1) chain.line-length)
       (all (gfor i (range 0 (len text) step)
                  (possible chain (places chain (cut text i (+ i step))))))))

(defn places [chain text]
  "str of N lines -> (N L): the place of each character among the chain's, V for any other."
  (setv codes (np.array (list (map ord chain.chars)) "<u4")
        order (np.argsort codes)
        width (+ chain.line-length 1)
        asked (ncut (.reshape (np.frombuffer (.encode text "utf-32-le" "surrogatepass") "<u4")
                              -1 width)
                    : :-1)
        place (get order (np.minimum (np.searchsorted codes asked :sorter order)
                                     (- (len codes) 1))))
  (np.where (= (get codes place) asked) place (len codes)))

(defn possible [chain places]
  "(N L) places of characters -> bool: known characters, possible starts, possible steps."
  ;; One more character, which never comes, stands for every unknown one.
  (setv start (np.append (> (np.array chain.start) 0) False)                  ; (V+1)
        steps (np.pad (> (np.array chain.transitions) 0) #(#(0 1) #(0 1))))   ; (V+1 V+1)
  (bool (and (.all (get start (ncut places : 0)))
             (.all (get steps #((ncut places : :-1) (ncut places : 1:)))))))

(defn text-loss [chain text]
  "Chain, str of whole lines that it can draw -> float: nats per token that the chain itself loses
  on them, knowing each line's beginning. That is near the floor, above it or below."
  (setv found (places chain text)                                             ; (N L)
        [lines length] found.shape
        first-ones (get (np.array chain.start) (ncut found : 0))              ; (N)
        steps (get (np.array chain.transitions)
                   #((ncut found : :-1) (ncut found : 1:))))                  ; (N L-1)
  (/ (- (+ (.sum (np.log first-ones)) (.sum (np.log steps))))
     (* lines (+ length 1))))
