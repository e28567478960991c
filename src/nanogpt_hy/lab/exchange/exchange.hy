"To and from other programs: nanoGPT's ckpt.pt and Hugging Face's GPT-2 folders. Logits stay as
they are, on the way out and on the way in."

(import  pathlib [Path]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.checkpoints.trained [open-model]
         nanogpt-hy.lab.data.texts [Text]
         nanogpt-hy.lab.data.tokenizers [make-tokenizer read-tokenizer]
         nanogpt-hy.lab.exchange.huggingface [export-huggingface import-huggingface]
         nanogpt-hy.lab.exchange.nanogpt [export-nanogpt import-nanogpt read-words]
         nanogpt-hy.lab.files [short stands]
         nanogpt-hy.lab.strangers [refuse]
         nanogpt-hy.lab.training.session [free-folder])

(defn export-checkpoint [ckpt to out]
  "Write the checkpoint CKPT (None: the newest) in the form TO, nanogpt or huggingface, into the new
  folder OUT; -> lines that say what was written, and what had to change."
  (match to
    "nanogpt"     (export-nanogpt (open-model ckpt) out)
    "huggingface" (export-huggingface (open-model ckpt) out)
    _ (raise (RequestError f"there is no form {(short to)}: use nanogpt or huggingface"))))

(defn new-checkpoint-path [source out]
  "Where the import of SOURCE goes: OUT, a folder or a file; else runs/NAME, named after it."
  (setv folder (. (if (.is-dir source) source source.parent) (resolve) name)
        out    (Path (or out (free-folder (or folder "import"))))
        file   (= out.suffix ".safetensors"))
  (for [taken (if file [out] [(/ out "best.safetensors") (/ out "last.safetensors")])]
    (when (stands taken)
      (raise (RequestError f"{taken} is there already: choose another name"))))
  (if file out (/ out "best.safetensors")))

(defn named-tokenizer [tokenizer text]
  "The tokenizer that the request names: a folder, a file or byte; or the characters of a text."
  (cond
    (and tokenizer text) (raise (RequestError "give --tokenizer or --text, not both"))
    text      (make-tokenizer "char" (. (Text text) alphabet))
    (is tokenizer None) None
    (= (. (Path tokenizer) suffix) ".pkl") (read-words tokenizer)
    (= tokenizer "byte") (make-tokenizer "byte" "")
    (.exists (Path tokenizer)) (read-tokenizer tokenizer)
    True
    (raise (RequestError
      (+ f"there is no tokenizer {(short tokenizer)} to import with: use byte, a meta.pkl, a "
         "folder with the tokenizer.json of a GPT-2, or --text")))))

(defn import-checkpoint [source [out None] * [tokenizer None] [text None]]
  "Make a checkpoint of SOURCE, nanoGPT's ckpt.pt or its folder, or a folder of Hugging Face's; ->
  its Path, OUT/best.safetensors or runs/NAME/best.safetensors. Its tokens are those of TOKENIZER (a
  folder or file, or byte), or the characters of the file TEXT, or what lies beside it."
  (setv source (Path source)
        named  (named-tokenizer tokenizer text)
        path   (new-checkpoint-path source out))
  (cond
    (.is-file (/ source "config.json")) (import-huggingface source path named)
    (.is-file (/ source "ckpt.pt"))     (import-nanogpt (/ source "ckpt.pt") path named)
    (.is-dir source)
    (refuse source "holds no config.json and no ckpt.pt" "name what nanoGPT or transformers saved")
    (not (.exists source))
    (refuse source "does not exist" "check the name")
    (and (in source.suffix [".json" ".safetensors"]) (.is-file (.with-name source "config.json")))
    (import-huggingface source.parent path named)
    (= source.suffix ".safetensors")
    (refuse source "has no config.json beside it"
            "name a folder of Hugging Face's; a checkpoint of ours needs no import")
    True (import-nanogpt source path named)))
