"Tokenizers: any text comes back, from any kind; what is broken or a lie is refused in one line."

(import  itertools [islice]
         json
         os
         subprocess
         sys
         time [process-time]
         hypothesis [assume given settings strategies :as st]
         numpy :as np
         pytest
         nanogpt-hy.course [CharTokenizer]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.byte-pairs [Pieces]
         nanogpt-hy.lab.data.encoding :as encoding
         nanogpt-hy.lab.data.encoding [Decoder encode-array unknown-characters]
         nanogpt-hy.lab.data.gpt2-json :as gpt2-json
         nanogpt-hy.lab.data.gpt2-json [ALPHABET bpe-json]
         nanogpt-hy.lab.data.tokenizers [make-tokenizer read-tokenizer tokenizer-from
                                         tokenizer-json])

(setv TEXT   (* "Der Bär sagt: »Öl, don't!«\r\n\tзима 寒い 🐻\u200d❄️\0 it's  2 x 2 = 4.   \n\n" 4)
      BPE    (make-tokenizer "bpe:300" TEXT)
      KINDS  {"char" (make-tokenizer "char" TEXT)  "byte" (make-tokenizer "byte" "")  "bpe" BPE}
      each   (pytest.mark.parametrize "kind" (list KINDS))
      anything (settings :max-examples 60 :deadline None))

(defn refusal [f #* args #** kw]
  "The one line with which (F ARGS…) is refused."
  (with [caught (pytest.raises RequestError)]
    (f #* args #** kw))
  (setv text (str caught.value))
  (assert (not-in "\n" text))
  (assert (< (len text) 400))
  text)

;;; Round trips

(defn [each] test-its-own-text-comes-back [kind]
  (setv tokenizer (get KINDS kind)
        ids       (.encode tokenizer TEXT))
  (assert (= (.decode tokenizer ids) TEXT))
  (assert (all (gfor  id ids  (and (is (type id) int) (< -1 id tokenizer.vocab-size)))))
  (assert (= (.encode tokenizer "") []))
  (assert (= (.decode tokenizer []) "")))

(defn [(given (st.text)) anything] test-any-text-comes-back [text]
  (for [kind ["byte" "bpe"]]
    (setv tokenizer (get KINDS kind))
    (assert (= (.decode tokenizer (.encode tokenizer text)) text))
    (assert (= (unknown-characters tokenizer text) []))))

(defn [(given (st.text :min-size 1)) anything] test-a-text-of-characters-comes-back [text]
  (setv tokenizer (make-tokenizer "char" text)
        courses   (CharTokenizer text)
        ids       (encode-array tokenizer text))
  (assert (= (.tolist ids) (.encode courses text) (.encode tokenizer text)))
  (assert (= (.decode tokenizer ids) text))
  (assert (= tokenizer.chars courses.chars)))

(defn [each] test-a-state-is-json-and-comes-back [kind]
  (setv tokenizer (get KINDS kind)
        state     (json.loads (json.dumps (.state tokenizer)))
        again     (tokenizer-from state :vocab-size tokenizer.vocab-size))
  (assert (= (get state "kind") kind))
  (assert (= (.state again) state))
  (assert (= again.vocab-size tokenizer.vocab-size))
  (assert (= (.encode again TEXT) (.encode tokenizer TEXT))))

(defn [(given (st.lists (st.integers 0 299))) anything] test-text-comes-as-it-is-complete [ids]
  "Piece by piece it is the same text, also where the ids make no sense."
  (for [tokenizer [(get KINDS "byte") BPE]]
    (setv ids    (lfor  id ids  (% id tokenizer.vocab-size))
          stream (Decoder tokenizer)
          pieces (lfor  id ids  (.feed stream id)))
    (assert (= (+ (.join "" pieces) (.end stream)) (.decode tokenizer ids)))))

(defn [each] test-characters-come-out-whole [kind]
  (setv stream (Decoder (get KINDS kind))
        pieces (lfor  id (.encode (get KINDS kind) TEXT)  (.feed stream id)))
  (assert (= (.join "" pieces) TEXT))
  (assert (= (.end stream) ""))
  (assert (not-in "\ufffd" (.join "" pieces))))

(defn test-half-a-character-shows-at-the-end []
  (setv stream (Decoder (get KINDS "byte")))
  (assert (= (.feed stream 0xe2) ""))
  (assert (= (.end stream) "\ufffd")))

;;; Long texts

(defn [(pytest.mark.parametrize #("size" "kind") [#(5 "uint8") #(256 "uint8") #(257 "uint16")
                                                   #(65536 "uint16") #(65537 "uint32")])]
    test-ids-are-as-narrow-as-may-be [size kind]
  (setv text (.join "" (gfor  code (range 0x100000)
                              :if (not (<= 0xd800 code 0xdfff))
                              (chr code)))
        tokenizer (make-tokenizer "char" (cut text size)))
  (assert (= tokenizer.vocab-size size))
  (setv ids (encode-array tokenizer (cut text size)))
  (assert (= ids.dtype kind))
  (assert (np.array-equal ids (np.arange size))))

(defn [each (given :text (st.text :alphabet "at \n\r\t'ä.2»" :max-size 60))
            (settings :max-examples 40 :deadline None)]
    test-parts-change-no-id [kind text]
  "A long text is encoded in parts, which must not be seen."
  (setv tokenizer (get KINDS kind)
        before    encoding.CHUNK)
  (assume (not (unknown-characters tokenizer text)))
  (setv whole (.encode tokenizer text))
  (try
    (setv encoding.CHUNK 3)
    (assert (= (.encode tokenizer text) whole))
    (assert (= (.join "" (encoding.chunks (encoding.slices text))) text))
    (finally
      (setv encoding.CHUNK before))))

(defn test-a-megabyte-of-characters-takes-no-loop []
  "Well below what a dict look-up for each character takes."
  (setv text      (* "Then say what is true, and stop.\n" 100,000)
        tokenizer (make-tokenizer "char" text))
  (defn seconds [encode]
    (setv started (process-time))
    (encode text)
    (- (process-time) started))
  (assert (< (seconds (fn [text] (encode-array tokenizer text)))
             (/ (seconds tokenizer.course.encode) 4))))

;;; What is not known

(defn test-unknown-characters-have-places-in-long-texts [monkeypatch]
  "Counted from the text's beginning, not from that of a part."
  (.setattr monkeypatch encoding "CHUNK" 3)
  (setv tokenizer (make-tokenizer "char" "abc"))
  (assert (in "'X', at 4 of the text" (refusal encode-array tokenizer "abcaXb")))
  (assert (in "'X' at 4: out" (refusal encoding.known-text tokenizer "abcaXb" "it" "out"))))

(defn test-unknown-characters-have-places []
  (setv tokenizer (make-tokenizer "char" "abc"))
  (assert (= (unknown-characters tokenizer "aXbéX") [#("X" 1) #("é" 3) #("X" 4)]))
  (assert (= (unknown-characters tokenizer "abccba") []))
  (assert (in "'X', at 1 of" (refusal encode-array tokenizer "aXbé")))
  (assert (in "'X', at 1 of" (refusal tokenizer.encode "aXbé"))))

(defn [(pytest.mark.parametrize "size" [1 2 126 127 128 200 254 255 256 257 300 65535 65536])]
    test-what-is-unknown-is-seen-in-every-vocabulary [size]
  "Whatever number stands for it in the tables, ASCII alone or among other characters."
  (setv others (gfor  code (range 1 0x20000)
                      :if (not (or (<= 0xd800 code 0xdfff) (= code (ord "a"))))
                      (chr code))
        chars  (list (islice others size))
        tokenizer (make-tokenizer "char" (.join "" chars)))
  (assert (= (.tolist (encode-array tokenizer (.join "" chars))) (list (range size))))
  (for [text [(get chars 0) (+ (get chars 0) (get chars -1))]
        unknown ["a" "\U0010ffff"]]
    (assert (in f"{unknown !r}, at {(len text)} of the text"
                (refusal encode-array tokenizer (+ text unknown text))))
    (assert (= (unknown-characters tokenizer (+ text unknown)) [#(unknown (len text))]))))

(defn [each] test-half-a-surrogate-pair-is-unknown [kind]
  "Python makes one of a byte on the command line that is no UTF-8."
  (setv tokenizer (get KINDS kind))
  (assert (= (unknown-characters tokenizer "\udcff") [#("\udcff" 0)]))
  (assert (in "\\udcff" (refusal tokenizer.encode "\udcff"))))

;;; Pieces

(defn test-pieces-are-what-the-text-repeats []
  (setv text (* "the cat and the hat " 20)
        tokenizer (make-tokenizer "bpe:270" text))
  (assert (<= 257 tokenizer.vocab-size 270))
  (assert (< (len (.encode tokenizer text)) (/ (len text) 2)))
  (assert (in " the" (lfor  id (range tokenizer.vocab-size)  (.decode tokenizer [id])))))

(defn test-pieces-are-the-same-each-time []
  "In another process too, whose hashes are others."
  (setv code "import hy; from nanogpt_hy.lab.data.tokenizers import make_tokenizer as m
import sys; sys.stdout.write(m('bpe:290', sys.stdin.read()).json)"
        texts (lfor  seed ["1" "2"]
                (. (subprocess.run [sys.executable "-c" code] :input TEXT :text True :check True
                                   :encoding "utf-8" :capture-output True
                                   :env {#** os.environ  "PYTHONHASHSEED" seed
                                         "PYTHONIOENCODING" "utf-8"})
                   stdout)))
  (assert (= #* texts))
  (assert (in "merges" (get texts 0))))

(defn test-importing-loads-neither-torch-nor-the-library []
  (setv code "import hy, sys; from nanogpt_hy.lab.data.tokenizers import make_tokenizer as m
m('byte', ''); sys.exit(bool({'torch', 'tokenizers'} & set(sys.modules)))")
  (assert (= 0 (. (subprocess.run [sys.executable "-c" code]) returncode))))

(defn test-without-the-library-there-is-a-line [monkeypatch]
  (monkeypatch.setitem sys.modules "tokenizers" None)
  (assert (in "pip install tokenizers" (refusal make-tokenizer "bpe:300" TEXT))))

(defn [(pytest.mark.parametrize "spec" ["words" "bpe" "bpe:" "bpe:-1" "bpe:256" "bpe:0300000000"
                                        "bpe:1000001" "bpe:٣٠٠" "" "char " "no/such/folder"])]
    test-a-wrong-request-is-refused [spec]
  (assert (refusal make-tokenizer spec TEXT)))

;;; Files of others

(defn write [path value]
  (.write-text path (if (isinstance value str) value (json.dumps value)) :encoding "utf-8")
  path)

(defn gpt2-like []
  "-> a tokenizer.json as transformers' GPT-2 has it, with its one special token."
  (setv spec (json.loads BPE.json))
  (.append (get spec "added_tokens")
    {"id" BPE.vocab-size  "content" "<|endoftext|>"  "single_word" False  "lstrip" False
     "rstrip" False  "normalized" False  "special" True})
  (.update (get spec "model") {"continuing_subword_prefix" ""  "end_of_word_suffix" ""
                               "unk_token" "<|endoftext|>"})
  (setv (get spec "post_processor") {"type" "ByteLevel"  "add_prefix_space" True
                                     "trim_offsets" False  "use_regex" True})
  spec)

(defn test-a-tokenizer-json-is-read [tmp-path]
  (write (/ tmp-path "tokenizer.json") (gpt2-like))
  (for [path [tmp-path (/ tmp-path "tokenizer.json")]]
    (setv tokenizer (read-tokenizer path))
    (assert (= tokenizer.vocab-size (+ BPE.vocab-size 1)))
    (assert (= (.encode tokenizer TEXT) (.encode BPE TEXT)))
    (setv ids (.encode tokenizer "a<|endoftext|>b"))
    (assert (= (get ids 1) BPE.vocab-size))
    (assert (= (.decode tokenizer ids) "a<|endoftext|>b"))
    (assert (= (.encode (make-tokenizer (str path) "") TEXT) (.encode BPE TEXT)))))

(defn test-the-older-files-are-read [tmp-path]
  "vocab.json and merges.txt, in which a merge may begin with #."
  (setv text  (+ TEXT (* "## ### " 20))
        made  (make-tokenizer "bpe:300" text)
        model (get (json.loads made.json) "model"))
  (assert (in ["#" "#"] (get model "merges")))
  (write (/ tmp-path "vocab.json") {#** (get model "vocab")  "<|endoftext|>" made.vocab-size})
  (write (/ tmp-path "merges.txt")
         (+ "#version: 0.2\n" (.join "" (gfor  [a b] (get model "merges") f"{a} {b}\n"))))
  (setv tokenizer (read-tokenizer tmp-path))
  (assert (= (.encode tokenizer text) (.encode made text)))
  (assert (= (.encode tokenizer "<|endoftext|>") [made.vocab-size])))

(defn test-a-space-before-the-text-comes-once []
  "Also before a text that is long enough to be cut."
  (setv spec (json.loads (. (make-tokenizer "bpe:300" (* "hello world\n" 50)) json))
        (get spec "pre_tokenizer" "add_prefix_space") True
        pieces (Pieces (json.dumps spec))
        text   (* "hello\n" 40,000))
  (assert pieces.whole)
  (assert (= (.encode pieces text)
             (. (.encode pieces.model text :add-special-tokens False) ids))))

(defn test-merges-in-the-old-form [tmp-path]
  (setv spec  (gpt2-like)
        model (get spec "model"))
  (setv (get model "merges") (lfor  [a b] (get model "merges") f"{a} {b}"))
  (write (/ tmp-path "tokenizer.json") spec)
  (assert (= (.encode (read-tokenizer tmp-path) TEXT) (.encode BPE TEXT))))

(defn [each] test-the-json-we-write-means-the-same [tmp-path kind]
  "To the library itself, and to us when it comes back."
  (import tokenizers [Tokenizer])
  (setv ours   (get KINDS kind)
        path   (write (/ tmp-path "tokenizer.json") (tokenizer-json ours))
        theirs (Tokenizer.from-file (str path))
        ids    (. (.encode theirs TEXT) ids))
  (assert (= ids (.encode ours TEXT) (.encode (read-tokenizer path) TEXT)))
  (assert (= (.decode theirs ids) TEXT)))

(defn test-ids-without-a-token []
  "A model may have rows to spare; they stand for nothing."
  (assert (= (.decode BPE [BPE.vocab-size 999]) "\ufffd\ufffd"))
  (assert (= (.decode (make-tokenizer "byte" "") [97 256 999]) "a\ufffd\ufffd")))

(defn changed [#* path value]
  "The JSON of a sound tokenizer in which the place PATH holds VALUE."
  (setv spec  (gpt2-like)
        place spec)
  (for [key (cut path -1)]
    (setv place (get place key)))
  (setv (get place (get path -1)) value)
  (json.dumps spec))

(defn other-vocab [#** tokens]
  "The JSON of a sound tokenizer with more TOKENS in its vocabulary."
  (changed "model" "vocab" :value {#** (get (gpt2-like) "model" "vocab")  #** tokens}))

(setv TOKEN {"id" 301  "content" "<x>"}
      LIES {"broken"           "{\"model\": "
            "no object"        "[]"
            "deep"             (* "[" 100,000)
            "empty"            "{}"
            "surrogate"        (changed "added_tokens" :value [{"id" 301  "content" "\ud800"}])
            "another model"    (changed "model" "type" :value "Unigram")
            "dropout"          (changed "model" "dropout" :value 0.1)
            "suffix"           (changed "model" "end_of_word_suffix" :value "</w>")
            "normalizer"       (changed "normalizer" :value {"type" "Lowercase"})
            "regex"            (changed "pre_tokenizer"
                                 :value {"type" "Split"  "behavior" "Isolated"  "invert" False
                                         "pattern" {"Regex" "(a+)+$"}})
            "no pre_tokenizer" (changed "pre_tokenizer" :value None)
            "vocab a list"     (changed "model" "vocab" :value ["a"])
            "bytes missing"    (changed "model" "vocab" :value {"a" 0})
            "id a text"        (other-vocab :ab "7")
            "id true"          (other-vocab :ab True)
            "id negative"      (other-vocab :ab -1)
            "id huge"          (other-vocab :ab (** 10 30))
            "id twice"         (other-vocab :ab 5)
            "no bytes"         (other-vocab :寒 301)
            "merges a dict"    (changed "model" "merges" :value {"a" "b"})
            "merge of three"   (changed "model" "merges" :value [["a" "b" "c"]])
            "merge of numbers" (changed "model" "merges" :value [[1 2]])
            "merge to nothing" (changed "model" "merges" :value [["Q" "Z"]])
            "added no id"      (changed "added_tokens" :value [{"content" "<x>"}])
            "added no dict"    (changed "added_tokens" :value [7])
            "added twice"      (changed "added_tokens" :value [TOKEN {#** TOKEN  "content" "<y>"}])
            "added far away"   (changed "added_tokens" :value [{#** TOKEN  "id" 900,000}])
            "added swallows"   (changed "added_tokens" :value [{#** TOKEN  "lstrip" True}])})

(defn [(pytest.mark.parametrize "lie" (list LIES))] test-a-lie-is-refused [tmp-path lie]
  (setv text (get LIES lie)
        path (write (/ tmp-path "tokenizer.json") text))
  (setv said (refusal read-tokenizer path))
  (assert (in (str tmp-path) said))
  (assert (in "use char, byte, bpe:N" said))
  (assert (in "the checkpoint" (refusal tokenizer-from {"kind" "bpe"  "json" text}))))

(defn test-a-huge-one-is-refused [monkeypatch tmp-path]
  (monkeypatch.setattr gpt2-json "MOST_JSON" 1000)
  (refusal tokenizer-from {"kind" "bpe"  "json" BPE.json})
  (assert (refusal read-tokenizer (write (/ tmp-path "tokenizer.json") BPE.json))))

(defn [(pytest.mark.parametrize "state" [
        None [] {} {"kind" 7} {"kind" ["char"]} {"kind" "words"} {"kind" "char"}
        {"kind" "char"  "chars" []} {"kind" "char"  "chars" ["b" "a"]}
        {"kind" "char"  "chars" ["a" "a"]} {"kind" "char"  "chars" ["ab"]}
        {"kind" "char"  "chars" [1 2]} {"kind" "char"  "chars" ["\ud800"]}
        {"kind" "char"  "chars" {"a" 1}} {"kind" "bpe"} {"kind" "bpe"  "json" {"a" 1}}])]
    test-a-wrong-state-is-refused [state]
  (assert (in "the checkpoint" (refusal tokenizer-from state))))

(defn [each] test-more-ids-than-the-model-has-are-refused [kind]
  (setv tokenizer (get KINDS kind)
        state     (.state tokenizer)
        count     tokenizer.vocab-size)
  (assert (in f"{count} ids for a model of {(- count 1)}"
              (refusal tokenizer-from state :vocab-size (- count 1))))
  (setv roomy (tokenizer-from state :vocab-size (+ count 5)))
  (assert (= roomy.vocab-size count)))

(defn test-a-folder-without-files-is-refused [tmp-path]
  (refusal read-tokenizer tmp-path)
  (write (/ tmp-path "vocab.json") (dfor  char ALPHABET  char (get ALPHABET char)))
  (assert (in "merges.txt" (refusal read-tokenizer tmp-path)))
  (write (/ tmp-path "merges.txt") "#version: 0.2\na b c\n")
  (assert (refusal read-tokenizer tmp-path)))

(defn test-merges-that-are-cut-short-are-refused [tmp-path]
  (write (/ tmp-path "vocab.json") (get (json.loads BPE.json) "model" "vocab"))
  (write (/ tmp-path "merges.txt") "")
  (assert (in "cut short" (refusal read-tokenizer tmp-path))))

(defn test-ids-that-are-no-numbers-are-refused [tmp-path]
  (write (/ tmp-path "vocab.json") {"<a>" 1  "<b>" "x"})
  (write (/ tmp-path "merges.txt") "")
  (assert (in "'<b>'" (refusal read-tokenizer tmp-path))))

(defn [(pytest.mark.parametrize "vocab" [{"b" 0  "a" 1} {"a" 0  "bc" 1} {"a" 1} {} {"a" "0"}])]
    test-words-that-are-no-characters-are-refused [tmp-path vocab]
  (setv spec (json.loads (tokenizer-json (get KINDS "char"))))
  (setv (get spec "model" "vocab") vocab)
  (assert (refusal read-tokenizer (write (/ tmp-path "tokenizer.json") spec))))

(defn test-bytes-alone-are-a-gpt2-tokenizer []
  (setv tokenizer (tokenizer-from {"kind" "bpe"  "json" (bpe-json ALPHABET [] [])}))
  (assert (= (.encode tokenizer TEXT) (.encode (get KINDS "byte") TEXT))))
